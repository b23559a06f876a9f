//! What `witgate policy new` writes builds with the commands it names, and passes its own cases.

use std::process::Command;

use crate::checkout;
use crate::support::Home;

/// A template, what builds the project in its folder, and what `examples/policies/build` found or installed for that: folders
/// that lie in `TOOLS`.
const TEMPLATES: [(&str, &str, &[&str]); 6] = [
    (
        "js",
        "npm install --no-audit --no-fund --no-package-lock && npm run build",
        &[],
    ),
    (
        "ts",
        "npm install --no-audit --no-fund --no-package-lock && npm run build",
        &[],
    ),
    ("python", "sh build", &["python/bin"]),
    // Its dependencies were compiled for the example.
    ("rust", "ln -s $TOOLS/rust target && sh build", &[STAND_INS]),
    ("c", "make", &[STAND_INS, "zig/bin"]),
    ("go", "go test ./rule && sh build", &[STAND_INS, "go/bin"]),
];

/// Stands in for wasm-tools, and for a cargo that does not build for Wasm.
const STAND_INS: &str = "../../../examples/policies/bin";

#[test]
fn a_new_project_builds_and_passes_its_cases() {
    for (language, build, tools) in TEMPLATES {
        let home = Home::new();
        let folder = home.path("projects");
        std::fs::create_dir_all(&folder).unwrap();
        let parent = folder.to_str().unwrap();
        home.run(&[
            "policy",
            "new",
            "--lang",
            language,
            "word-fence",
            "--dir",
            parent,
        ])
        .done()
        .says(&["policy test word-fence.wasm cases"]);

        let project = folder.join("word-fence");
        let installed = checkout("target/policies/tools");
        let ordinary = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths(
            tools
                .iter()
                .map(|tool| installed.join(tool))
                .chain(std::env::split_paths(&ordinary)),
        )
        .unwrap();
        let built = Command::new("sh")
            .args(["-c", build])
            .current_dir(&project)
            .env("PATH", path)
            .env("TOOLS", &installed)
            .output()
            .unwrap();
        assert!(
            built.status.success(),
            "{language}: {build}\n{}\n{}",
            String::from_utf8_lossy(&built.stdout),
            String::from_utf8_lossy(&built.stderr)
        );

        let component = project.join("word-fence.wasm");
        let component = component.to_str().unwrap();
        home.run(&["policy", "check", component]).done();
        let cases = project.join("cases");
        let tested = home.run(&["policy", "test", component, cases.to_str().unwrap()]);
        tested.done();

        let policies = home.policies();
        for file in ["word-fence.wasm", "word-fence.toml"] {
            std::fs::copy(project.join(file), policies.join(file)).unwrap();
        }
        home.run(&["policy", "list"]).done().says(&["word-fence"]);
    }
}
