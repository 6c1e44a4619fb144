//! What a handler may import, and where byte code goes.

use faas_package::{Manifest, Runtime, Signature};

use crate::function::Function;

fn manifest(signature: Signature) -> Manifest {
    Manifest::new(Runtime::Python3, signature, "handler.handle")
}

#[test]
fn handlers_import_their_own_modules_and_dependencies_and_not_ours() {
    let handler = "from .inner import own\nimport top, installed, http, sys\nfrom function.top import NAME\n\
                   names = [own.NAME, NAME, installed.NAME, http.__name__, str(hasattr(http, 'HTTPStatus'))]\n\
                   try:\n    import _faas_entry_that_is_none\nexcept ImportError:\n    names.append('none')\n\
                   names.append(str(any('runtimes' in path for path in sys.path)))\n\
                   def handle(event, context):\n    return ' '.join(names)";
    let files = [("handler.py", handler), ("inner/own.py", "NAME = 'own'"), ("top.py", "NAME = 'top'")];
    let dependencies = [("installed/__init__.py", "NAME = 'installed'")];
    let Some(function) = Function::new(&manifest(Signature::Http), &files, &dependencies) else { return };
    for isolation in super::ISOLATIONS {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        assert_eq!(watchdog.get("/").text(), "own top installed http True none False", "{isolation}");
    }
}

#[test]
fn modules_with_the_names_of_ours_are_the_handlers() {
    let handler =
        "import worker\ndef handle(event, context):\n    import call\n    return worker.NAME + call.NAME";
    let files =
        [("handler.py", handler), ("worker.py", "NAME = 'a worker'"), ("call.py", "NAME = ' and a call'")];
    let Some(function) = Function::new(&manifest(Signature::Http), &files, &[]) else { return };
    assert_eq!(function.ready(&[]).get("/").text(), "a worker and a call");
}

#[test]
fn nothing_of_the_users_hides_the_package_that_the_handler_is_in() {
    let handler = "from .other import NAME\nimport function\n\
                   def handle(event, context):\n    return NAME + getattr(function, 'OWN', '')";
    let other = ("other.py", "NAME = 'other'");
    let dependencies = [("function/__init__.py", "raise ImportError('the wrong one')")];
    for (file, expected) in [
        (("function.py", "raise ImportError('the wrong one')"), "other"),
        (("__init__.py", "OWN = ' and its __init__'"), "other and its __init__"),
    ] {
        let files = [("handler.py", handler), other, file];
        let function = Function::new(&manifest(Signature::Http), &files, &dependencies);
        let Some(function) = function else { return };
        assert_eq!(function.ready(&[]).get("/").text(), expected);
    }
}

#[test]
fn byte_code_goes_to_the_replicas_own_folder() {
    let handler = "import own, installed, json.tool\ndef handle(event, context):\n    return own.NAME";
    let files = [("handler.py", handler), ("own.py", "NAME = 'own'")];
    let dependencies = [("installed.py", "")];
    let Some(function) = Function::new(&manifest(Signature::Http), &files, &dependencies) else { return };
    assert_eq!(function.ready(&[]).get("/").text(), "own");
    let home = function.home.path();
    for folder in ["function", "deps"] {
        assert!(!home.join(folder).join("__pycache__").exists(), "{folder}");
    }
    let mut found = Vec::new();
    collect(&home.join("scratch"), &mut found);
    for module in ["handler.", "own.", "installed."] {
        assert!(found.iter().any(|name| name.starts_with(module)), "{module}: {found:?}");
    }
    assert!(
        !found.iter().any(|name| name.starts_with("tool.")),
        "the standard library has its own: {found:?}"
    );
}

fn collect(folder: &std::path::Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            collect(&entry.path(), found);
        } else {
            found.push(entry.file_name().into_string().unwrap());
        }
    }
}
