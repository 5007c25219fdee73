//! Reading again only what changed since an earlier build.

use crate::selection::{Item, read_all};
use crate::{FilesError, Fingerprint, Selection, Tree};
use acetate_oci::Digest;
use rayon::prelude::*;

/// Files from this size on are remembered one by one; smaller ones in groups, since a look-up costs
/// as much as reading a few of them.
const LARGE: u64 = 128 * 1024;
/// The most files of a group, all of which are read again when one of them has changed.
const MAX_GROUP: usize = 128;
/// One inode in so many ends its group. Groups then begin and end at the same files when others come
/// or go between them.
const MEAN_GROUP: u64 = 32;

/// Remembers the digests of files from build to build; advisory, like every cache.
pub trait DigestMemory: Sync {
    /// The digests of the files of these groups, in their order, where they are known.
    fn recall(&self, groups: &[FileGroup]) -> Vec<Option<Vec<Digest>>>;

    /// Keeps the digests of files that were read.
    fn remember(&self, groups: Vec<(FileGroup, Vec<Digest>)>);
}

/// Files that are remembered together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileGroup(Vec<Fingerprint>);

impl FileGroup {
    /// The fingerprints as bytes, to be the name of what is remembered.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(Fingerprint::bytes).collect()
    }
}

/// A group, and where its files are among those that are to be read.
#[derive(Default)]
struct Wanted {
    group: FileGroup,
    places: Vec<usize>,
}

impl Selection {
    /// The same as [`Selection::read`], but files that did not change since an earlier build are not
    /// read again. `now` is the time in seconds at which finding them began.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read_with(
        &mut self,
        tree: &dyn Tree,
        memory: &dyn DigestMemory,
        now: i64,
    ) -> Result<(), FilesError> {
        let mut files: Vec<&mut Item> = self.items_mut().filter(|item| item.is_unread()).collect();
        let wanted = groups(&files, now);
        let names: Vec<FileGroup> = wanted.iter().map(|wanted| wanted.group.clone()).collect();
        let recalled = if names.is_empty() {
            Vec::new()
        } else {
            memory.recall(&names)
        };
        let mut new = Vec::new();
        for (wanted, digests) in wanted.into_iter().zip(recalled) {
            let Some(digests) = digests.filter(|them| them.len() == wanted.places.len()) else {
                new.push(wanted);
                continue;
            };
            for (place, digest) in wanted.places.into_iter().zip(digests) {
                files[place].digest = Some(digest);
            }
        }
        read_all(tree, files.iter_mut().map(|item| &mut **item))?;
        let new: Vec<_> = new
            .into_par_iter()
            .filter_map(|wanted| unchanged(tree, &files, wanted).transpose())
            .collect::<Result<_, FilesError>>()?;
        if !new.is_empty() {
            memory.remember(new);
        }
        Ok(())
    }
}

/// The groups of files that have settled.
fn groups(files: &[&mut Item], now: i64) -> Vec<Wanted> {
    let (mut groups, mut open) = (Vec::new(), Wanted::default());
    for (place, item) in files.iter().enumerate() {
        let Some(print) = item.node.fingerprint.filter(|print| print.is_settled(now)) else {
            continue;
        };
        if item.size() >= LARGE {
            groups.push(Wanted {
                group: FileGroup(vec![print]),
                places: vec![place],
            });
            continue;
        }
        open.group.0.push(print);
        open.places.push(place);
        if print.inode() % MEAN_GROUP == 0 || open.places.len() == MAX_GROUP {
            groups.push(std::mem::take(&mut open));
        }
    }
    if !open.places.is_empty() {
        groups.push(open);
    }
    groups
}

/// A group with its digests, unless one of its files has changed since it was found.
fn unchanged(
    tree: &dyn Tree,
    files: &[&mut Item],
    Wanted { group, places }: Wanted,
) -> Result<Option<(FileGroup, Vec<Digest>)>, FilesError> {
    let mut digests = Vec::with_capacity(places.len());
    for (place, print) in places.into_iter().zip(&group.0) {
        let item = &*files[place];
        let Some(digest) = item.digest else {
            return Ok(None);
        };
        if tree.fingerprint(&item.node)? != Some(*print) {
            return Ok(None);
        }
        digests.push(digest);
    }
    Ok(Some((group, digests)))
}
