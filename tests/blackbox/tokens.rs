//! Tokens as the operator makes, lists and revokes them.

use super::support::Home;

#[test]
fn a_token_is_shown_once_and_kept_nowhere() {
    let home = Home::new();
    home.configure("version = 1\n[server.files]\ncommand = \"x\"\n");
    let made = home
        .run(&[
            "token",
            "new",
            "ci",
            "--role",
            "dev",
            "--role",
            "ops",
            "--expires",
            "90d",
            "--json",
        ])
        .done()
        .json();
    let token = made["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("wg_") && token.len() >= 46, "{token}");
    assert_eq!(made["name"], "ci");

    let list = home.run(&["token", "list", "--json"]).done();
    let listed = &list.json()["tokens"][0];
    assert_eq!(listed["name"], "ci");
    assert_eq!(listed["roles"], serde_json::json!(["dev", "ops"]));
    assert_eq!(listed["expired"], false);
    assert_eq!(listed["last_used"], serde_json::Value::Null);
    assert!(listed["expires"].as_str().unwrap().ends_with('Z'));
    home.run(&["token"])
        .done()
        .says(&["ci", "dev, ops", "never"]);

    let secret = &token[3..40];
    assert!(!list.stdout.contains(secret));
    for file in std::fs::read_dir(home.state()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }

    home.run(&["token", "revoke", "ci"]).done();
    home.run(&["token"])
        .done()
        .says(&["No token", "witgate token new NAME"]);
}

#[test]
fn a_new_token_comes_with_what_is_to_be_pasted() {
    let home = Home::new();
    home.configure(
        "version = 1\n[http]\nlisten = \"127.0.0.1:7001\"\n[server.files]\ncommand = \"x\"\n",
    );
    let made = home.run(&["token", "new", "me"]).done();
    let token = made.stdout.lines().next().unwrap().to_owned();
    made.says(&[
        "shown this once",
        "witgate token revoke me",
        "\"url\": \"http://127.0.0.1:7001/mcp/files\"",
        &format!("\"Authorization\": \"Bearer {token}\""),
        &format!(
            "claude mcp add --transport http files http://127.0.0.1:7001/mcp/files --header 'Authorization: Bearer \
             {token}'"
        ),
    ]);
}

#[test]
fn what_cannot_be_is_refused_with_the_mend() {
    let home = Home::new();
    home.run(&["token", "new", "a b"])
        .exits(2)
        .says(&["cannot be a token name"]);
    home.run(&["token", "new", "local"])
        .exits(2)
        .says(&["choose another"]);
    home.run(&["token", "new", "a", "--role", "x y"])
        .exits(2)
        .says(&["cannot be a role"]);
    home.run(&["token", "new", "a", "--expires", "soon"])
        .exits(2)
        .says(&["such as 90d"]);
    home.run(&["token", "new", "a"]).done();
    home.run(&["token", "new", "a"])
        .exits(1)
        .says(&["witgate token revoke a"]);
    home.run(&["token", "revoke", "b"])
        .exits(1)
        .says(&["witgate token list"]);
    let failed = home
        .run(&["token", "revoke", "b", "--json"])
        .exits(1)
        .json();
    assert_eq!(failed["error"]["code"], "unknown_token", "{failed}");
}
