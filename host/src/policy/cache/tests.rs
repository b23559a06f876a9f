//! Who may have written what is loaded as native code.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::symlink;

use super::*;

fn engine() -> wasmtime::Engine {
    wasmtime::Engine::default()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn component(engine: &wasmtime::Engine) -> Component {
    Component::from_binary(engine, &wat::parse_str("(component)").unwrap()).unwrap()
}

#[test]
fn the_directory_is_made_private() {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("a/b");
    Cache::open(&dir, &engine()).unwrap();
    for made in [&dir, &top.path().join("a")] {
        assert_eq!(fs::metadata(made).unwrap().mode() & 0o777, 0o700);
    }
    mode(&dir, 0o755);
    Cache::open(&dir, &engine()).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
}

/// Who can write there can run code as this user.
#[test]
fn a_directory_that_others_can_write_is_not_used() {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("cache");
    fs::create_dir(&dir).unwrap();
    for bad in [0o777, 0o720, 0o702] {
        mode(&dir, bad);
        let error = Cache::open(&dir, &engine()).err().unwrap();
        assert!(matches!(error, CacheError::Writable { .. }), "{error}");
        assert!(error.to_string().contains("chmod go-w"), "{error}");
    }
    mode(&dir, 0o700);
    // A folder above it is as good as itself, unless only owners can rename there.
    mode(top.path(), 0o777);
    let error = Cache::open(&dir, &engine()).err().unwrap();
    assert!(matches!(error, CacheError::Writable { .. }), "{error}");
    mode(top.path(), 0o1777);
    assert!(Cache::open(&dir, &engine()).is_ok());
}

#[test]
fn a_link_or_a_file_is_no_directory() {
    let top = tempfile::tempdir().unwrap();
    let link = top.path().join("link");
    symlink(top.path(), &link).unwrap();
    let error = Cache::open(&link, &engine()).err().unwrap();
    assert!(matches!(error, CacheError::Kind { .. }), "{error}");
    let file = top.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(Cache::open(&file, &engine()).is_err());
}

#[test]
fn what_is_kept_is_private_and_comes_back() {
    let top = tempfile::tempdir().unwrap();
    let engine = engine();
    let cache = Cache::open(top.path(), &engine).unwrap();
    assert!(cache.load("00", &engine).is_none());
    cache.keep("00", &component(&engine)).unwrap();
    assert_eq!(
        fs::metadata(cache.path("00")).unwrap().mode() & 0o777,
        0o600
    );
    assert!(cache.load("00", &engine).is_some());
    // Nothing half-written stays behind.
    assert_eq!(fs::read_dir(top.path()).unwrap().count(), 1);
}

/// A file that somebody else could have written, a link to one, or a torn one is deleted and never loaded.
#[test]
fn doubtful_files_are_deleted() {
    let top = tempfile::tempdir().unwrap();
    let engine = engine();
    let cache = Cache::open(top.path(), &engine).unwrap();
    cache.keep("00", &component(&engine)).unwrap();
    let sound = fs::read(cache.path("00")).unwrap();

    mode(&cache.path("00"), 0o666);
    assert!(cache.load("00", &engine).is_none());
    assert!(!cache.path("00").exists());

    let elsewhere = top.path().join("elsewhere");
    fs::write(&elsewhere, &sound).unwrap();
    symlink(&elsewhere, cache.path("00")).unwrap();
    assert!(cache.load("00", &engine).is_none());
    assert!(!cache.path("00").is_symlink() && elsewhere.exists());

    fs::write(cache.path("00"), &sound[..100]).unwrap();
    assert!(cache.load("00", &engine).is_none());
    assert!(!cache.path("00").exists());
}

/// Other settings or another wasmtime mean other code.
#[test]
fn each_engine_has_files_of_its_own() {
    let top = tempfile::tempdir().unwrap();
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let other = wasmtime::Engine::new(&config).unwrap();
    let cache = Cache::open(top.path(), &engine()).unwrap();
    assert_ne!(
        cache.path("00"),
        Cache::open(top.path(), &other).unwrap().path("00")
    );
    assert_eq!(
        cache.path("00"),
        Cache::open(top.path(), &engine()).unwrap().path("00")
    );
}

/// Every new version of witgate or of a policy leaves files behind.
#[test]
fn old_files_are_deleted_when_new_ones_come() {
    let top = tempfile::tempdir().unwrap();
    let engine = engine();
    let cache = Cache::open(top.path(), &engine).unwrap();
    cache.keep("00", &component(&engine)).unwrap();
    cache.keep("01", &component(&engine)).unwrap();
    let old = SystemTime::now() - AGE - Duration::from_secs(60);
    let file = File::options().write(true).open(cache.path("00")).unwrap();
    file.set_modified(old).unwrap();
    cache.keep("02", &component(&engine)).unwrap();
    let left = ["00", "01", "02"].map(|name| cache.path(name).exists());
    assert_eq!(left, [false, true, true]);
}
