//! Does the package hold the file that its manifest starts? Asked when packing, where the author sees the answer, and
//! when unpacking.

use std::path::Path;

use crate::{FUNCTION, Manifest, Runtime};

/// The file that the manifest names is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the handler {handler:?} of a {runtime} function needs {expected} in the handler folder")]
pub struct MissingEntryPoint {
    handler: String,
    runtime: Runtime,
    expected: String,
}

/// A file of the package: its path in the zip, and whether its owner may run it.
pub(crate) type Listed<'a> = (&'a str, bool);

/// Looks the entry point up among `files`.
pub(crate) fn check<'a>(
    manifest: &Manifest,
    mut files: impl Iterator<Item = Listed<'a>>,
) -> Result<(), MissingEntryPoint> {
    let handler = &manifest.handler;
    let (found, expected) = match manifest.runtime {
        Runtime::Python3 => {
            let module = handler.rsplit_once('.').map_or("", |(module, _)| module).replace('.', "/");
            (files.any(|(path, _)| is_python_module(path, &module)), format!("{module}.py"))
        }
        Runtime::Node => (files.any(|(path, _)| is_node_module(path, handler)), format!("{handler}.js")),
        Runtime::Bash => (files.any(|(path, _)| inner(path) == Some(handler)), handler.clone()),
        Runtime::Binary => {
            let runs = |(path, executable)| inner(path) == Some(handler) && executable;
            (files.any(runs), format!("{handler}, executable,"))
        }
    };
    if found {
        return Ok(());
    }
    Err(MissingEntryPoint { handler: handler.clone(), runtime: manifest.runtime, expected })
}

fn inner(path: &str) -> Option<&str> {
    path.strip_prefix(FUNCTION)?.strip_prefix('/')
}

/// A source file, a package, or a compiled extension (`handler.cpython-311-x86_64-linux-gnu.so`).
fn is_python_module(path: &str, module: &str) -> bool {
    let rest = inner(path).and_then(|path| path.strip_prefix(module));
    rest.is_some_and(|rest| {
        rest == ".py"
            || rest == "/__init__.py"
            || (rest.starts_with('.')
                && !rest.contains('/')
                && Path::new(rest).extension() == Some("so".as_ref()))
    })
}

fn is_node_module(path: &str, handler: &str) -> bool {
    let rest = inner(path).and_then(|path| path.strip_prefix(handler));
    rest.is_some_and(|rest| ["", ".js", ".cjs", ".mjs", "/index.js"].contains(&rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signature;

    #[test]
    fn the_entry_point_must_be_there() {
        for (runtime, signature, handler, path, executable, found) in [
            (Runtime::Python3, Signature::Http, "handler.handle", "function/handler.py", false, true),
            (Runtime::Python3, Signature::Http, "a.b.handle", "function/a/b/__init__.py", false, true),
            (Runtime::Python3, Signature::Http, "handler.handle", "function/handler.abi3.so", false, true),
            (Runtime::Python3, Signature::Http, "handler.handle", "deps/handler.py", false, false),
            (Runtime::Node, Signature::Http, "handler", "function/handler.mjs", false, true),
            (Runtime::Node, Signature::Http, "handler", "function/handlers.js", false, false),
            (Runtime::Bash, Signature::Stdin, "handler.sh", "function/handler.sh", false, true),
            (Runtime::Binary, Signature::Stdin, "run", "function/run", true, true),
            (Runtime::Binary, Signature::Stdin, "run", "function/run", false, false),
        ] {
            let manifest = Manifest::new(runtime, signature, handler);
            let result = check(&manifest, [("function/x", true), (path, executable)].into_iter());
            assert_eq!(result.is_ok(), found, "{runtime} {handler} {path}: {result:?}");
        }
    }
}
