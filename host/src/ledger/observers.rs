//! Whether an observer still observes.
//!
//! Knows process numbers and start times. Knows nothing of what was observed.

use super::Observer;

/// This process: its number, and its start in clock ticks since boot where the system tells.
pub fn this_process() -> (u32, Option<u64>) {
    let pid = std::process::id();
    (pid, start_of(pid))
}

/// Whether `observer` may still see something: its connection has not ended and the process that made it runs. One
/// whose number was given to another process since counts as
/// dead where the system tells when processes started.
pub fn alive(observer: &Observer) -> bool {
    if observer.ended || !exists(observer.pid) {
        return false;
    }
    match (observer.pid_start, start_of(observer.pid)) {
        (Some(then), Some(now)) => then == now,
        _ => true,
    }
}

/// Whether there is a process of that number, whoever owns it.
fn exists(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    else {
        return false;
    };
    match rustix::process::test_kill_process(pid) {
        Ok(()) => true,
        Err(error) => error == rustix::io::Errno::PERM,
    }
}

/// Field 22 of `/proc/PID/stat` (proc(5)). The command's name, field 2, stands in parentheses and may hold anything,
/// so fields are counted from the last closing one.
#[cfg(target_os = "linux")]
fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn start_of(_pid: u32) -> Option<u64> {
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn observer(pid: u32, pid_start: Option<u64>) -> Observer {
        Observer {
            id: "o".into(),
            server: "s".into(),
            pid,
            pid_start,
            ended: false,
            observation: None,
        }
    }

    #[test]
    fn this_process_lives() {
        let (pid, start) = this_process();
        assert!(alive(&observer(pid, start)));
        assert!(alive(&observer(pid, None)));
        let ended = Observer {
            ended: true,
            ..observer(pid, start)
        };
        assert!(!alive(&ended));
    }

    #[test]
    fn a_finished_process_does_not() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .arg("--list")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(!alive(&observer(pid, None)));
        assert!(!alive(&observer(0, None)));
        assert!(!alive(&observer(u32::MAX, None)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_number_used_again_is_another_process() {
        let (pid, start) = this_process();
        assert!(!alive(&observer(pid, start.map(|start| start + 1))));
    }
}
