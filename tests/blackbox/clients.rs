//! A real typed client and server of rmcp's, with the gate between them.

use std::process::Stdio;

use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt};
use rmcp::transport::TokioChildProcess;

use crate::support::{Home, example};

fn gate(home: &Home) -> TokioChildProcess {
    let mut command = home.command();
    command
        .args(["wrap", "--name", "calculator", "--deny-tool", "greet", "--"])
        .arg(example("rmcp-server"));
    let (process, _) = TokioChildProcess::builder(tokio::process::Command::from(command))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    process
}

async fn use_it(lifecycle: ClientLifecycleMode) {
    let home = Home::new();
    let client = ().serve_with_lifecycle(gate(&home), lifecycle).await.unwrap();
    let tools = client.list_all_tools().await.unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["add"]);
    let arguments = serde_json::json!({"a": 2, "b": 3})
        .as_object()
        .unwrap()
        .clone();
    let sum = client
        .call_tool(CallToolRequestParams::new("add").with_arguments(arguments))
        .await
        .unwrap();
    assert_eq!(sum.content[0].as_text().unwrap().text, "5");
    let denied = client
        .call_tool(CallToolRequestParams::new("greet"))
        .await
        .unwrap();
    assert_eq!(denied.is_error, Some(true));
    assert!(
        denied.content[0]
            .as_text()
            .unwrap()
            .text
            .contains("FILTERED")
    );
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn a_client_that_begins_with_initialize_is_served() {
    use_it(ClientLifecycleMode::Initialize).await;
}

#[tokio::test]
async fn a_client_that_begins_with_discover_falls_back_and_is_served() {
    use_it(ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: None,
    })
    .await;
}
