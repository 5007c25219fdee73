//! The messages of the Remote Execution API (REAPI v2) that a cache holds.
//!
//! Field numbers and names are those of `remote_execution.proto`; fields that no cache reads are
//! left out, and prost drops them when it reads a message, so a server must keep bodies as they came.

/// The type of the auxiliary metadata that tells what a hit on a record saves: milliseconds, as
/// eight bytes, the highest first.
pub const COST_TYPE: &str = "acetate/cost/v1";

/// The hash and the size of some bytes.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Digest {
    /// SHA-256 in lower-case hexadecimal.
    #[prost(string, tag = "1")]
    pub hash: String,
    /// How many bytes.
    #[prost(int64, tag = "2")]
    pub size_bytes: i64,
}

/// The result of an action.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ActionResult {
    /// Files that were made.
    #[prost(message, repeated, tag = "2")]
    pub output_files: Vec<OutputFile>,
    /// Directories that were made.
    #[prost(message, repeated, tag = "3")]
    pub output_directories: Vec<OutputDirectory>,
    /// The exit code.
    #[prost(int32, tag = "4")]
    pub exit_code: i32,
    /// Standard output itself.
    #[prost(bytes = "vec", tag = "5")]
    pub stdout_raw: Vec<u8>,
    /// Where standard output is.
    #[prost(message, optional, tag = "6")]
    pub stdout_digest: Option<Digest>,
    /// Standard error itself.
    #[prost(bytes = "vec", tag = "7")]
    pub stderr_raw: Vec<u8>,
    /// Where standard error is.
    #[prost(message, optional, tag = "8")]
    pub stderr_digest: Option<Digest>,
    /// How it was made.
    #[prost(message, optional, tag = "9")]
    pub execution_metadata: Option<ExecutedActionMetadata>,
}

/// A file that was made.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct OutputFile {
    /// Its path.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Where its bytes are.
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
    /// Whether it can be executed.
    #[prost(bool, tag = "4")]
    pub is_executable: bool,
    /// Its bytes, where they are sent along.
    #[prost(bytes = "vec", tag = "5")]
    pub contents: Vec<u8>,
}

/// A directory that was made.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct OutputDirectory {
    /// Its path.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Where its [`Tree`] is.
    #[prost(message, optional, tag = "3")]
    pub tree_digest: Option<Digest>,
}

/// A directory with all below it.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Tree {
    /// The directory.
    #[prost(message, optional, tag = "1")]
    pub root: Option<Directory>,
    /// All directories below it, in any order.
    #[prost(message, repeated, tag = "2")]
    pub children: Vec<Directory>,
}

/// One directory.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Directory {
    /// Its files, sorted by name.
    #[prost(message, repeated, tag = "1")]
    pub files: Vec<FileNode>,
    /// Its directories, sorted by name.
    #[prost(message, repeated, tag = "2")]
    pub directories: Vec<DirectoryNode>,
}

/// A file of a directory.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct FileNode {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Where its bytes are.
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
    /// Whether it can be executed.
    #[prost(bool, tag = "4")]
    pub is_executable: bool,
}

/// A directory of a directory.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DirectoryNode {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Where its [`Directory`] is.
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
}

/// How an action was carried out.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecutedActionMetadata {
    /// Who did it. Some servers take no result without it.
    #[prost(string, tag = "1")]
    pub worker: String,
    /// What else there is to say.
    #[prost(message, repeated, tag = "11")]
    pub auxiliary_metadata: Vec<Any>,
}

/// A message of any type (`google.protobuf.Any`).
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Any {
    /// Which type.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

impl ActionResult {
    /// The digests that the result itself names: files, trees, output. What the trees name is in
    /// them.
    pub fn digests(&self) -> Vec<&Digest> {
        let files = self.output_files.iter().filter_map(|f| f.digest.as_ref());
        let streams = [&self.stdout_digest, &self.stderr_digest];
        files
            .chain(self.trees())
            .chain(streams.into_iter().flatten())
            .collect()
    }

    /// The digests of its trees.
    pub fn trees(&self) -> impl Iterator<Item = &Digest> {
        let directories = self.output_directories.iter();
        directories.filter_map(|directory| directory.tree_digest.as_ref())
    }
}

impl Tree {
    /// The digests of all files in it.
    pub fn files(&self) -> impl Iterator<Item = &Digest> {
        let directories = self.root.iter().chain(&self.children);
        directories
            .flat_map(|directory| &directory.files)
            .filter_map(|file| file.digest.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    fn digest(hash: &str) -> Digest {
        Digest {
            hash: hash.into(),
            size_bytes: 1,
        }
    }

    #[test]
    fn a_result_names_all_that_it_needs() {
        let result = ActionResult {
            output_files: vec![OutputFile {
                path: "f".into(),
                digest: Some(digest("f")),
                ..OutputFile::default()
            }],
            output_directories: vec![OutputDirectory {
                path: "d".into(),
                tree_digest: Some(digest("t")),
            }],
            stderr_digest: Some(digest("e")),
            ..ActionResult::default()
        };
        let hashes: Vec<&str> = result.digests().iter().map(|d| d.hash.as_str()).collect();
        assert_eq!(hashes, ["f", "t", "e"]);
        let again = ActionResult::decode(result.encode_to_vec().as_slice()).unwrap();
        assert_eq!(again, result);
    }

    /// The bytes that `protoc` gives for the same message; whoever changes a field number fails.
    #[test]
    fn the_wire_form_is_that_of_the_specification() {
        let result = ActionResult {
            output_directories: vec![OutputDirectory {
                path: "l".into(),
                tree_digest: Some(Digest {
                    hash: "ab".into(),
                    size_bytes: 300,
                }),
            }],
            execution_metadata: Some(ExecutedActionMetadata {
                worker: "w".into(),
                auxiliary_metadata: vec![Any {
                    type_url: "u".into(),
                    value: vec![7],
                }],
            }),
            ..ActionResult::default()
        };
        let expected: &[u8] = &[
            0x1a, 12, 0x0a, 1, b'l', 0x1a, 7, 0x0a, 2, b'a', b'b', 0x10, 0xac,
            0x02, // a directory
            0x4a, 11, 0x0a, 1, b'w', 0x5a, 6, 0x0a, 1, b'u', 0x12, 1, 7, // how it was made
        ];
        assert_eq!(result.encode_to_vec(), expected);
    }
}
