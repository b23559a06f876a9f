//! Names for servers that nobody named: a readable slug of what is run.
//!
//! Knows the shapes of commands that start MCP servers. The name is for people; what it stands for is kept in full.

/// A slug of the package that a launcher runs, or of the script's folder and file.
pub fn slug(command: &[String]) -> String {
    let Some((program, arguments)) = command.split_first() else {
        return "server".to_owned();
    };
    let program = base(program);
    let stem = program.strip_suffix(".exe").unwrap_or(program);
    let name = match stem {
        "npx" | "bunx" | "uvx" | "pipx" | "pnpx" | "dlx" => package(arguments),
        "npm" | "pnpm" | "yarn" | "bun" | "uv" | "deno" => package(
            arguments
                .iter()
                .skip_while(|a| LAUNCHER_WORDS.contains(&a.as_str()))
                .cloned()
                .collect::<Vec<_>>()
                .as_slice(),
        ),
        _ if is_interpreter(stem) => script(arguments),
        _ => None,
    };
    let name = name.unwrap_or_else(|| stem.to_owned());
    clean(&name)
}

/// A slug of a URL: the host, its port if it is not the usual one, and the path's last part.
pub fn slug_of_url(url: &http::Uri) -> String {
    let host = url.host().unwrap_or_default();
    let last = url.path().rsplit('/').find(|part| !part.is_empty());
    let port = url.port_u16().map(|port| port.to_string());
    let parts = [Some(host), port.as_deref(), last];
    clean(&parts.into_iter().flatten().collect::<Vec<_>>().join("-"))
}

/// Words of launchers that come before the package.
const LAUNCHER_WORDS: [&str; 5] = ["exec", "run", "tool", "dlx", "x"];

/// Options that take the next word as their value.
const VALUED: [&str; 12] = [
    "-p",
    "--package",
    "--from",
    "--with",
    "--python",
    "--directory",
    "--project",
    "-r",
    "--require",
    "--import",
    "--loader",
    "-W",
];

fn is_interpreter(stem: &str) -> bool {
    matches!(
        stem,
        "node" | "python" | "ruby" | "perl" | "sh" | "bash" | "tsx" | "ts-node"
    ) || stem.strip_prefix("python").is_some_and(|rest| {
        !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit() || c == '.')
    })
}

fn base(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn package(arguments: &[String]) -> Option<String> {
    let word = first_word(arguments)?;
    // A version after the name, not the scope's own sign before it.
    let name = match word[1..].find('@') {
        Some(at) => &word[..=at],
        None => word,
    };
    let name = name.split("==").next().unwrap_or(name);
    Some(base(name).to_owned())
}

fn script(arguments: &[String]) -> Option<String> {
    if let Some(at) = arguments.iter().position(|a| a == "-m") {
        return arguments.get(at + 1).cloned();
    }
    let path = first_word(arguments)?;
    let mut parts = path.rsplit(['/', '\\']);
    let file = parts.next()?;
    let file = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let folder = parts.find(|part| !part.is_empty() && *part != "." && *part != "..");
    Some(folder.map_or_else(|| file.to_owned(), |folder| format!("{folder}-{file}")))
}

fn first_word(arguments: &[String]) -> Option<&str> {
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        if VALUED.contains(&word) {
            rest.next();
        } else if !word.starts_with('-') && !word.is_empty() {
            return Some(word);
        }
    }
    None
}

/// Lower case, letters, digits, `.`, `_` and `-` only, at most 64.
fn clean(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() || c == '.' {
            slug.push(c);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug: String = slug.trim_matches(['-', '.']).chars().take(64).collect();
    if slug.is_empty() {
        "server".to_owned()
    } else {
        slug
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(command: &str) -> String {
        slug(&command.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_name_is_what_a_person_would_call_the_server() {
        for (command, name) in [
            (
                "npx -y @modelcontextprotocol/server-everything",
                "server-everything",
            ),
            (
                "npx -y @modelcontextprotocol/server-everything@2026.8.31 stdio",
                "server-everything",
            ),
            ("uvx mcp-server-git --repository .", "mcp-server-git"),
            ("uvx --from git+x mcp-server-git", "mcp-server-git"),
            ("uv tool run mcp-server-time==1.2", "mcp-server-time"),
            ("python3.11 -m mcp_server_time", "mcp-server-time"),
            ("python /srv/notes/server.py", "notes-server"),
            ("node ./dist/index.js", "dist-index"),
            (
                "/usr/local/bin/github-mcp-server stdio",
                "github-mcp-server",
            ),
            ("foo@1.2.4", "foo-1.2.4"),
            ("pnpm dlx @scope/pkg", "pkg"),
            ("…", "server"),
        ] {
            assert_eq!(of(command), name, "{command}");
        }
    }

    #[test]
    fn a_url_is_called_by_its_host_and_its_last_part() {
        for (url, name) in [
            ("https://mcp.example.com/mcp", "mcp.example.com-mcp"),
            ("https://api.example.com", "api.example.com"),
            (
                "http://localhost:3001/notes/?key=secret",
                "localhost-3001-notes",
            ),
            ("http://[::1]:8080/", "1-8080"),
        ] {
            assert_eq!(slug_of_url(&url.parse().unwrap()), name, "{url}");
        }
    }

    #[test]
    fn nothing_to_run_still_has_a_name() {
        assert_eq!(slug(&[]), "server");
    }
}
