use std::os::unix::fs::symlink;

use super::*;

/// A search path of these folders.
fn search(folders: &[&Path]) -> OsString {
    std::env::join_paths(folders).unwrap()
}

fn script(folder: &Path, name: &str, body: &str) {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The system's interpreter, or none and a word about it.
fn system(runtime: Runtime) -> Option<Interpreter> {
    let found = resolve(runtime, OsStr::new("/usr/bin:/bin"));
    found.inspect_err(say_skipped).ok().flatten()
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn say_skipped(error: &NotFound) {
    eprintln!("skipped: {error}");
}

#[test]
fn the_systems_interpreters_are_found_under_their_real_path() {
    for runtime in [Runtime::Python3, Runtime::Node, Runtime::Bash] {
        let Some(found) = system(runtime) else { continue };
        assert_eq!(found.program, found.program.canonicalize().unwrap());
        assert_eq!(found.version.is_empty(), runtime == Runtime::Bash, "{found:?}");
        assert!(found.readable.iter().all(|path| !path.starts_with("/usr")), "{found:?}");
    }
    assert_eq!(resolve(Runtime::Binary, OsStr::new("")), Ok(None));
}

#[test]
fn a_missing_interpreter_is_named_with_where_it_was_looked_for() {
    let error = resolve(Runtime::Python3, OsStr::new("/nowhere:/else")).unwrap_err();
    let expected = "no python3 found for runtime python3: looked for an executable python3 in /nowhere:/else";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_shim_is_asked_once_and_replaced_by_what_it_runs() {
    let Some(real) = system(Runtime::Python3) else { return };
    let home = tempfile::tempdir().unwrap();
    let shims = home.path().join("shims");
    let log = home.path().join("log");
    script(&shims, "python3", &format!("echo run >>{}\nexec /usr/bin/python3 \"$@\"", log.display()));
    let found = resolve(Runtime::Python3, &search(&[&shims])).unwrap().unwrap();
    assert_eq!(found.program, real.program);
    assert_eq!(found.version, real.version);
    assert_eq!(fs::read_to_string(&log).unwrap(), "run\n");
}

#[test]
fn broken_files_and_shims_are_passed_over() {
    let Some(real) = system(Runtime::Python3) else { return };
    let home = tempfile::tempdir().unwrap();
    let (broken, plain, dangling) =
        (home.path().join("broken"), home.path().join("plain"), home.path().join("dangling"));
    script(&broken, "python3", "echo 'pyenv: no such version'; exit 1");
    fs::create_dir_all(&plain).unwrap();
    fs::write(plain.join("python3"), "not executable").unwrap();
    fs::create_dir_all(&dangling).unwrap();
    symlink("/nowhere", dangling.join("python3")).unwrap();
    let path = search(&[Path::new("relative"), &broken, &plain, &dangling, Path::new("/usr/bin")]);
    assert_eq!(resolve(Runtime::Python3, &path).unwrap().unwrap(), real);
}

#[test]
fn a_virtual_environment_keeps_its_own_executable() {
    if system(Runtime::Python3).is_none() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let environment = home.path().canonicalize().unwrap().join("venv");
    let bin = environment.join("bin");
    fs::create_dir_all(environment.join("lib/python3/site-packages")).unwrap();
    fs::create_dir_all(&bin).unwrap();
    fs::write(environment.join("pyvenv.cfg"), "home = /usr/bin\n").unwrap();
    symlink("/usr/bin/python3", bin.join("python3")).unwrap();
    let found = resolve(Runtime::Python3, &search(&[&bin])).unwrap().unwrap();
    assert_eq!(found.program, bin.join("python3"));
    let own: Vec<_> = found.readable.iter().filter(|path| !path.starts_with("/etc")).collect();
    assert_eq!(own, [&environment.join("lib"), &environment.join("pyvenv.cfg")]);
    let output = Command::new(&found.program).args(["-c", "import sys; print(sys.prefix)"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), environment.to_str().unwrap());
}

/// A Python at `prefix`, of which only the names are real.
fn fake_python(prefix: &Path) -> Interpreter {
    fs::create_dir_all(prefix.join("bin")).unwrap();
    fs::create_dir_all(prefix.join("lib/python3.12")).unwrap();
    fs::write(prefix.join("lib/libpython3.12.so.1.0"), "").unwrap();
    fs::write(prefix.join("lib/other.so"), "").unwrap();
    fs::copy("/bin/sh", prefix.join("bin/python3.12")).unwrap();
    symlink("python3.12", prefix.join("bin/python3")).unwrap();
    resolve(Runtime::Python3, &search(&[&prefix.join("bin")])).unwrap().unwrap()
}

#[test]
fn a_python_of_its_own_prefix_may_read_its_libraries_and_is_not_run() {
    let home = tempfile::tempdir().unwrap();
    let prefix = home.path().canonicalize().unwrap().join("versions/3.12.1");
    let found = fake_python(&prefix);
    assert_eq!(found.version, "3.12");
    assert_eq!(found.program, prefix.join("bin/python3.12"));
    assert_eq!(found.readable, [prefix.join("bin/python3.12"), prefix.join("lib")]);
}

#[test]
fn a_python_in_a_home_folder_opens_none_of_the_home() {
    let home = tempfile::tempdir().unwrap();
    let prefix = home.path().canonicalize().unwrap().join(".local");
    let found = fake_python(&prefix);
    let expected =
        ["bin/python3.12", "lib/libpython3.12.so.1.0", "lib/python3.12"].map(|path| prefix.join(path));
    assert_eq!(found.readable, expected);
}
