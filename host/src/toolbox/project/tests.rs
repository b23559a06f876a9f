#![allow(clippy::unwrap_used)]

use super::*;

const CARGO: &[u8] = b"[package]\nname = \"{{name}}\"\n";

/// A template as small as one can be.
static TINY: Dir<'static> = Dir::new(
    "",
    &[DirEntry::Dir(Dir::new(
        "rust",
        &[
            DirEntry::File(File::new("rust/Cargo.toml.in", CARGO)),
            DirEntry::File(File::new(
                "rust/NEXT.in",
                b"build {{name_snake}}\ntest {{name}}\n",
            )),
            DirEntry::File(File::new("rust/{{name}}.toml", b"[settings]\n")),
            DirEntry::File(File::new("rust/build", b"#!/bin/sh\n")),
            DirEntry::File(File::new("rust/logo.png", b"\x89PNG {{name}}")),
            DirEntry::Dir(Dir::new(
                "rust/src",
                &[DirEntry::File(File::new(
                    "rust/src/{{name_snake}}.rs",
                    b"mod {{name_snake}};",
                ))],
            )),
        ],
    ))],
);

#[test]
fn a_project_has_its_names_and_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let written = write_from(&TINY, "rust", "path-fence", dir.path()).unwrap();
    let files: Vec<_> = written
        .files
        .iter()
        .map(|path| path.to_str().unwrap())
        .collect();
    assert_eq!(
        files,
        [
            "Cargo.toml",
            "build",
            "logo.png",
            "path-fence.toml",
            "src/path_fence.rs",
            "wit/hooks.wit",
            "wit/types.wit",
            "wit/worlds.wit"
        ]
    );
    assert_eq!(written.next, ["build path_fence", "test path-fence"]);
    let read = |file: &str| fs::read(written.folder.join(file)).unwrap();
    assert_eq!(read("Cargo.toml"), b"[package]\nname = \"path-fence\"\n");
    assert_eq!(read("src/path_fence.rs"), b"mod path_fence;");
    assert_eq!(read("logo.png"), b"\x89PNG {{name}}");
    assert_eq!(
        read("wit/types.wit"),
        include_bytes!("../../../../wit/types.wit")
    );
}

#[cfg(unix)]
#[test]
fn scripts_can_be_run_and_nothing_else() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let written = write_from(&TINY, "rust", "path-fence", dir.path()).unwrap();
    for file in &written.files {
        let found = fs::metadata(written.folder.join(file)).unwrap();
        let runs = found.permissions().mode() & 0o111 != 0;
        assert_eq!(runs, file == Path::new("build"), "{}", file.display());
    }
}

#[test]
fn what_is_there_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    write_from(&TINY, "rust", "empty", dir.path()).unwrap();
    let again = write_from(&TINY, "rust", "empty", dir.path()).unwrap_err();
    assert!(matches!(again, ProjectError::Taken(_)), "{again}");
    fs::write(dir.path().join("file"), "mine").unwrap();
    let file = write_from(&TINY, "rust", "file", dir.path()).unwrap_err();
    assert!(matches!(file, ProjectError::Taken(_)), "{file}");
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"mine");
}

#[test]
fn a_name_must_do_in_every_language() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "", "../up", "a/b", "10-team", "Fence", "a.b", "a b", "-a", "é", "class", "fn", "wit",
    ] {
        let error = write_from(&TINY, "rust", name, dir.path()).unwrap_err();
        assert!(matches!(error, ProjectError::Name(_)), "{name}: {error}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    for name in ["a", "path-fence", "no_deletes", "v2"] {
        write_from(&TINY, "rust", name, dir.path()).unwrap();
    }
}

#[test]
fn only_languages_with_a_template_are_known() {
    assert_eq!(languages_of(&TINY), ["rust"]);
    let dir = tempfile::tempdir().unwrap();
    let error = write_from(&TINY, "cobol", "a", dir.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no template for \"cobol\"; there are: rust"
    );
}

/// A template that names what is nowhere, or leaves a placeholder, would give projects that do not build.
#[test]
fn every_template_that_ships_becomes_a_project_without_placeholders() {
    for language in languages() {
        let dir = tempfile::tempdir().unwrap();
        let written = write(language, "path-fence", dir.path()).unwrap();
        assert!(!written.next.is_empty(), "{language} has no {NEXT}");
        for file in &written.files {
            let path = written.folder.join(file);
            let content = fs::read(&path).unwrap();
            for left in ["{{name}}", "{{name_snake}}"] {
                let text = format!("{}\n{}", file.display(), String::from_utf8_lossy(&content));
                assert!(!text.contains(left), "{language}: {}", file.display());
            }
            assert!(
                file.extension().is_none_or(|end| end != "in"),
                "{language}: {}",
                file.display()
            );
        }
    }
}
