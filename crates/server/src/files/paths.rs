//! Paths in the drive: absolute, `/` between names.

use crate::failure::{Failure, Outcome};
use std::path::Path;

/// Reads what a person typed: `docs`, `/docs` and `/docs/` are the same folder.
pub fn absolute(text: &str) -> Outcome<String> {
    let mut names = Vec::new();
    for name in text.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                return Err(
                    Failure::failed(format!("{text:?}: a path in the drive has no `..`")).safe("nothing was changed")
                );
            }
            name => names.push(name),
        }
    }
    Ok(format!("/{}", names.join("/")))
}

/// A name in a folder.
pub fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// Does a slash follow the name of this local path? Then what is in the folder is meant, not the folder.
pub fn has_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// The folder that a path is in.
pub fn parent(path: &str) -> &str {
    match path.trim_end_matches('/').rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

/// The last name; empty for the drive itself.
pub fn name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// True when a name from the cluster may become a name in a local folder.
pub fn is_safe_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for text in ["a/b", "/a/b", "//a/./b/"] {
            assert_eq!(absolute(text).expect("good"), "/a/b");
        }
        assert_eq!(absolute("").expect("the drive"), "/");
        assert!(absolute("/a/../b").is_err());
        assert_eq!((join("/", "a"), join("/a", "b")), ("/a".into(), "/a/b".into()));
        assert_eq!((parent("/a/b"), parent("/a"), parent("/")), ("/a", "/", "/"));
        assert_eq!((name("/a/b"), name("/a/"), name("/")), ("b", "a", ""));
        assert!(!is_safe_name("../x") && !is_safe_name("..") && is_safe_name("...a"));
    }
}
