//! A handler's folder and our language runtimes, as a replica finds them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use faas_package::runtime_files;
use tempfile::TempDir;

/// Files, gone when dropped.
pub(crate) struct Function {
    root: TempDir,
}

impl Function {
    /// With one file in the handler's folder.
    pub(crate) fn new(name: &str, text: &str) -> anyhow::Result<Self> {
        let function = Self { root: tempfile::tempdir()? };
        fs::create_dir(function.folder())?;
        fs::write(function.folder().join(name), text)?;
        for (path, text) in runtime_files() {
            let path = function.runtimes().join(path);
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(path, text)?;
        }
        Ok(function)
    }

    /// The handler's working directory.
    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("function")
    }

    /// The watchdog's `fprocess`: interpreter, options, a file of our runtimes, its arguments.
    pub(crate) fn process(
        &self,
        program: &Path,
        options: &[&str],
        file: &str,
        arguments: &[&str],
    ) -> anyhow::Result<String> {
        let path = self.runtimes().join(file);
        ensure!(path.is_file(), "faas_package::runtime_files has no {file}");
        let (program, path) = (program.display().to_string(), path.display().to_string());
        let words = [&[program.as_str()], options, &[path.as_str()], arguments].concat();
        Ok(words.join(" "))
    }

    /// Another file, beside the handler's folder.
    pub(crate) fn add(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.root.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    fn runtimes(&self) -> PathBuf {
        self.root.path().join("runtimes")
    }
}
