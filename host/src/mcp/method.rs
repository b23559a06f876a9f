//! The methods of MCP: who sends them, and what they mean to the gate.
//!
//! The tables are closed: what is not in them is not understood. They cover the revisions 2024-11-05, 2025-03-26,
//! 2025-06-18, 2025-11-25 and 2026-07-28.

use super::ItemKind;

/// The revisions of MCP that begin with `initialize` and that the tables cover, oldest first.
pub const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// What a client may ask of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientRequest {
    /// `initialize`.
    Initialize,
    /// `server/discover`, of the revision 2026-07-28.
    Discover,
    /// `ping`.
    Ping,
    /// A list of items.
    List(ItemKind),
    /// Something that reaches one item.
    Call(CallKind),
    /// `logging/setLevel`.
    SetLevel,
    /// `subscriptions/listen`, since 2026-07-28: one stream of what changes.
    Listen,
    /// Something about a task that an earlier request began, since 2025-11-25.
    Task(TaskKind),
}

/// The requests that reach one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// `tools/call`.
    Tool,
    /// `prompts/get`.
    Prompt,
    /// `resources/read`.
    Read,
    /// `resources/subscribe`.
    Subscribe,
    /// `resources/unsubscribe`.
    Unsubscribe,
    /// `completion/complete`.
    Complete,
}

/// The requests about tasks; either side may send them about tasks at the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// `tasks/get`.
    Get,
    /// `tasks/result`.
    Result,
    /// `tasks/list`.
    List,
    /// `tasks/cancel`.
    Cancel,
    /// `tasks/update`, of the extension `io.modelcontextprotocol/tasks` to 2026-07-28: input that a task waits for.
    Update,
}

/// What a client may tell a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientNotification {
    /// `notifications/initialized`.
    Initialized,
    /// `notifications/cancelled`.
    Cancelled,
    /// `notifications/progress`, about a request of the server's.
    Progress,
    /// `notifications/roots/list_changed`.
    RootsListChanged,
    /// `notifications/tasks/status`, since 2025-11-25.
    TaskStatus,
}

/// What a server may ask of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerRequest {
    /// `ping`.
    Ping,
    /// `sampling/createMessage`.
    CreateMessage,
    /// `elicitation/create`, since 2025-06-18.
    Elicit,
    /// `roots/list`.
    ListRoots,
    /// Something about a task at the client, since 2025-11-25.
    Task(TaskKind),
}

/// What a server may tell a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerNotification {
    /// `notifications/message`: a log entry.
    Message,
    /// `notifications/progress`.
    Progress,
    /// `notifications/cancelled`, about a request of the server's.
    Cancelled,
    /// A list changed: those of these kinds.
    ListChanged(&'static [ItemKind]),
    /// `notifications/resources/updated`.
    ResourceUpdated,
    /// `notifications/elicitation/complete`, since 2025-11-25.
    ElicitationComplete,
    /// `notifications/tasks/status`, since 2025-11-25; `notifications/tasks` of the extension to 2026-07-28.
    TaskStatus,
    /// `notifications/subscriptions/acknowledged`, since 2026-07-28.
    Acknowledged,
}

const CLIENT_REQUESTS: &[(&str, ClientRequest)] = &[
    ("tools/call", ClientRequest::Call(CallKind::Tool)),
    ("tools/list", ClientRequest::List(ItemKind::Tool)),
    ("ping", ClientRequest::Ping),
    ("initialize", ClientRequest::Initialize),
    ("server/discover", ClientRequest::Discover),
    ("prompts/get", ClientRequest::Call(CallKind::Prompt)),
    ("prompts/list", ClientRequest::List(ItemKind::Prompt)),
    ("resources/read", ClientRequest::Call(CallKind::Read)),
    ("resources/list", ClientRequest::List(ItemKind::Resource)),
    (
        "resources/templates/list",
        ClientRequest::List(ItemKind::ResourceTemplate),
    ),
    (
        "resources/subscribe",
        ClientRequest::Call(CallKind::Subscribe),
    ),
    (
        "resources/unsubscribe",
        ClientRequest::Call(CallKind::Unsubscribe),
    ),
    (
        "completion/complete",
        ClientRequest::Call(CallKind::Complete),
    ),
    ("logging/setLevel", ClientRequest::SetLevel),
    ("tasks/get", ClientRequest::Task(TaskKind::Get)),
    ("tasks/result", ClientRequest::Task(TaskKind::Result)),
    ("tasks/list", ClientRequest::Task(TaskKind::List)),
    ("tasks/cancel", ClientRequest::Task(TaskKind::Cancel)),
    ("tasks/update", ClientRequest::Task(TaskKind::Update)),
    ("subscriptions/listen", ClientRequest::Listen),
];

const CLIENT_NOTIFICATIONS: &[(&str, ClientNotification)] = &[
    ("notifications/initialized", ClientNotification::Initialized),
    ("notifications/cancelled", ClientNotification::Cancelled),
    ("notifications/progress", ClientNotification::Progress),
    (
        "notifications/roots/list_changed",
        ClientNotification::RootsListChanged,
    ),
    ("notifications/tasks/status", ClientNotification::TaskStatus),
];

const SERVER_REQUESTS: &[(&str, ServerRequest)] = &[
    ("ping", ServerRequest::Ping),
    ("sampling/createMessage", ServerRequest::CreateMessage),
    ("elicitation/create", ServerRequest::Elicit),
    ("roots/list", ServerRequest::ListRoots),
    ("tasks/get", ServerRequest::Task(TaskKind::Get)),
    ("tasks/result", ServerRequest::Task(TaskKind::Result)),
    ("tasks/list", ServerRequest::Task(TaskKind::List)),
    ("tasks/cancel", ServerRequest::Task(TaskKind::Cancel)),
];

const SERVER_NOTIFICATIONS: &[(&str, ServerNotification)] = &[
    ("notifications/message", ServerNotification::Message),
    ("notifications/progress", ServerNotification::Progress),
    ("notifications/cancelled", ServerNotification::Cancelled),
    (
        "notifications/tools/list_changed",
        ServerNotification::ListChanged(&[ItemKind::Tool]),
    ),
    (
        "notifications/prompts/list_changed",
        ServerNotification::ListChanged(&[ItemKind::Prompt]),
    ),
    (
        "notifications/resources/list_changed",
        // There is no notification of its own for templates.
        ServerNotification::ListChanged(&[ItemKind::Resource, ItemKind::ResourceTemplate]),
    ),
    (
        "notifications/resources/updated",
        ServerNotification::ResourceUpdated,
    ),
    (
        "notifications/elicitation/complete",
        ServerNotification::ElicitationComplete,
    ),
    ("notifications/tasks/status", ServerNotification::TaskStatus),
    ("notifications/tasks", ServerNotification::TaskStatus),
    (
        "notifications/subscriptions/acknowledged",
        ServerNotification::Acknowledged,
    ),
];

fn find<T: Copy>(table: &[(&str, T)], method: &str) -> Option<T> {
    table
        .iter()
        .find(|(name, _)| *name == method)
        .map(|(_, means)| *means)
}

impl ClientRequest {
    /// Whether it is of revisions that begin with `initialize`.
    pub const fn is_of_sessions(self) -> bool {
        !matches!(
            self,
            Self::Discover | Self::Listen | Self::Task(TaskKind::Update)
        )
    }

    /// Whether it is of 2026-07-28, or of an extension to it.
    pub const fn stands_for_itself(self) -> bool {
        match self {
            Self::Discover | Self::List(_) | Self::Listen => true,
            Self::Call(kind) => !matches!(kind, CallKind::Subscribe | CallKind::Unsubscribe),
            Self::Task(kind) => matches!(kind, TaskKind::Get | TaskKind::Update | TaskKind::Cancel),
            Self::Initialize | Self::Ping | Self::SetLevel => false,
        }
    }
}

/// What a request of a client's means; none if nobody knows the method, or it is no request.
pub fn client_request(method: &str) -> Option<ClientRequest> {
    find(CLIENT_REQUESTS, method)
}

/// A method that clients send, by itself; none if nobody knows it.
pub fn client_method(method: &str) -> Option<&'static str> {
    let requests = CLIENT_REQUESTS.iter().map(|(name, _)| *name);
    let notifications = CLIENT_NOTIFICATIONS.iter().map(|(name, _)| *name);
    requests.chain(notifications).find(|name| *name == method)
}

/// What a notification of a client's means.
pub fn client_notification(method: &str) -> Option<ClientNotification> {
    find(CLIENT_NOTIFICATIONS, method)
}

/// What a request of a server's means.
pub fn server_request(method: &str) -> Option<ServerRequest> {
    find(SERVER_REQUESTS, method)
}

/// What a notification of a server's means.
pub fn server_notification(method: &str) -> Option<ServerNotification> {
    find(SERVER_NOTIFICATIONS, method)
}

impl CallKind {
    /// The method.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tool => "tools/call",
            Self::Prompt => "prompts/get",
            Self::Read => "resources/read",
            Self::Subscribe => "resources/subscribe",
            Self::Unsubscribe => "resources/unsubscribe",
            Self::Complete => "completion/complete",
        }
    }
}

/// The method that lists a kind; none for the self-description, which is not listed.
pub const fn list_method(kind: ItemKind) -> Option<&'static str> {
    match kind {
        ItemKind::Tool => Some("tools/list"),
        ItemKind::Prompt => Some("prompts/list"),
        ItemKind::Resource => Some("resources/list"),
        ItemKind::ResourceTemplate => Some("resources/templates/list"),
        ItemKind::SelfDescription => None,
    }
}

/// The notification that a kind's list changed; none for the self-description.
pub const fn list_changed(kind: ItemKind) -> Option<&'static str> {
    match kind {
        ItemKind::Tool => Some("notifications/tools/list_changed"),
        ItemKind::Prompt => Some("notifications/prompts/list_changed"),
        ItemKind::Resource | ItemKind::ResourceTemplate => {
            Some("notifications/resources/list_changed")
        }
        ItemKind::SelfDescription => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_compared_exactly() {
        assert_eq!(
            client_request("tools/call"),
            Some(ClientRequest::Call(CallKind::Tool))
        );
        for method in [
            "tools/Call",
            "tools/call ",
            " tools/call",
            "tools/cal",
            "TOOLS/CALL",
            "",
            "tools\\/call",
            "tools//call",
        ] {
            assert_eq!(client_request(method), None, "{method}");
        }
    }

    #[test]
    fn requests_and_notifications_of_either_side_are_told_apart() {
        assert_eq!(client_request("notifications/initialized"), None);
        assert_eq!(client_notification("tools/call"), None);
        assert_eq!(client_request("sampling/createMessage"), None);
        assert_eq!(server_request("tools/call"), None);
        assert_eq!(
            server_request("sampling/createMessage"),
            Some(ServerRequest::CreateMessage)
        );
        assert_eq!(
            client_notification("notifications/tools/list_changed"),
            None
        );
        assert_eq!(server_notification("notifications/initialized"), None);
    }

    #[test]
    fn tables_and_their_inverses_agree() {
        for (method, request) in CLIENT_REQUESTS {
            match request {
                ClientRequest::Call(kind) => assert_eq!(kind.method(), *method),
                ClientRequest::List(kind) => assert_eq!(list_method(*kind), Some(*method)),
                _ => {}
            }
        }
        for kind in ItemKind::ALL {
            if let Some(method) = list_changed(kind) {
                let Some(ServerNotification::ListChanged(kinds)) = server_notification(method)
                else {
                    panic!("{method}");
                };
                assert!(kinds.contains(&kind));
            }
        }
    }
}
