use super::*;

fn interpreter(program: &str) -> Interpreter {
    Interpreter { program: program.into(), version: "3.11".into(), readable: Vec::new() }
}

fn layout(scratch: Option<&Path>) -> Layout<'_> {
    Layout { package: Path::new("/data/p"), runtimes: Path::new("/data/r"), scratch }
}

#[test]
fn every_runtime_has_its_command() {
    for (runtime, signature, handler, program, mode, expected) in [
        (
            Runtime::Python3,
            Signature::Openfaas,
            "handler.handle",
            Some("/usr/bin/python3.11"),
            Mode::Worker,
            "/usr/bin/python3.11 -s -B /data/r/python/worker.py openfaas handler.handle",
        ),
        (
            Runtime::Python3,
            Signature::Http,
            "handler.handle",
            Some("/usr/bin/python3.11"),
            Mode::Worker,
            "/usr/bin/python3.11 -s -B /data/r/python/worker.py http handler.handle",
        ),
        (
            Runtime::Node,
            Signature::Http,
            "handler",
            Some("/usr/bin/node"),
            Mode::Worker,
            "/usr/bin/node /data/r/node/worker.js handler",
        ),
        (
            Runtime::Bash,
            Signature::Stdin,
            "handler.sh",
            Some("/usr/bin/bash"),
            Mode::Fork,
            "/usr/bin/bash /data/p/function/handler.sh",
        ),
        (Runtime::Binary, Signature::Stdin, "run", None, Mode::Fork, "/data/p/function/run"),
        (Runtime::Binary, Signature::Http, "run", None, Mode::Http, "/data/p/function/run"),
    ] {
        let manifest = Manifest::new(runtime, signature, handler);
        let plan = run_plan(&manifest, program.map(interpreter).as_ref(), &layout(None));
        assert_eq!((plan.mode, plan.fprocess()), (mode, expected.into()));
        assert_eq!(plan.working_directory, Path::new("/data/p/function"));
    }
}

#[test]
fn byte_code_goes_to_the_replicas_own_folder() {
    let manifest = Manifest::new(Runtime::Python3, Signature::Openfaas, "handler.handle");
    let plan = run_plan(&manifest, Some(&interpreter("/p")), &layout(Some(Path::new("/tmp/x"))));
    assert_eq!(plan.environment, [("FAAS_PYCACHE".into(), "/tmp/x/pycache".into())]);
    assert!(!plan.command.contains(&"-B".into()));
}

#[test]
fn words_that_a_split_on_spaces_would_break_are_quoted() {
    for (command, expected) in [
        (&["/usr/bin/env", "a\"b", "c"][..], "/usr/bin/env a\"b c"),
        (&["/data dir/run", "c"], "'/data dir/run' 'c'"),
        (&["/bin/run", ""], "'/bin/run' ''"),
        (&["/bin/run", "it's", "a b"], "'/bin/run' 'it'\"'\"'s' 'a b'"),
        (&["'odd"], "''\"'\"'odd'"),
    ] {
        let plan = RunPlan {
            mode: Mode::Fork,
            command: command.iter().map(OsString::from).collect(),
            environment: Vec::new(),
            defaults: Vec::new(),
            working_directory: PathBuf::new(),
        };
        assert_eq!(plan.fprocess(), expected, "{command:?}");
    }
}
