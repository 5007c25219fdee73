use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;

/// One entry of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// `d`, `l`, `h`, `c`, `b`, `p` or `-`.
    pub kind: char,
    /// The path as it stands in the tar.
    pub path: String,
    /// Permissions with set-id and sticky bits.
    pub mode: u32,
    /// The owner.
    pub uid: u64,
    /// The group.
    pub gid: u64,
    /// The size in bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Where a link leads.
    pub target: Option<String>,
    /// The numbers of a device.
    pub device: (u32, u32),
    /// PAX records.
    pub pax: BTreeMap<String, Vec<u8>>,
    /// The bytes of a file.
    pub content: Vec<u8>,
}

impl Item {
    /// Kind, mode, owner, size, path and link, in one line.
    pub fn line(&self) -> String {
        let mut line = format!(
            "{}{:04o} {}:{} {} {}",
            self.kind, self.mode, self.uid, self.gid, self.size, self.path
        );
        if let Some(target) = &self.target {
            // Writing to a String cannot fail.
            let _ = write!(line, " -> {target}");
        }
        line
    }

    /// An extended attribute.
    pub fn xattr(&self, name: &str) -> Option<&[u8]> {
        self.pax
            .get(&format!("SCHILY.xattr.{name}"))
            .map(Vec::as_slice)
    }
}

/// Reads all entries of a tar.
///
/// # Panics
/// When it is broken.
pub fn items_of_tar(tar: &[u8]) -> Vec<Item> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("a tar");
    entries
        .map(|entry| item(&mut entry.expect("an entry")))
        .collect()
}

/// Lists a tar, one line an entry.
///
/// # Panics
/// When it is broken.
pub fn listing_of_tar(tar: &[u8]) -> String {
    let items = items_of_tar(tar);
    items.iter().map(|item| item.line() + "\n").collect()
}

fn item(entry: &mut tar::Entry<'_, &[u8]>) -> Item {
    let mut pax = BTreeMap::new();
    if let Some(records) = entry.pax_extensions().expect("PAX records") {
        for record in records {
            let record = record.expect("a PAX record");
            let key = record.key().expect("a key").to_owned();
            pax.insert(key, record.value_bytes().to_vec());
        }
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).expect("content");
    let header = entry.header();
    let kind = match header.entry_type() {
        tar::EntryType::Directory => 'd',
        tar::EntryType::Symlink => 'l',
        tar::EntryType::Link => 'h',
        tar::EntryType::Char => 'c',
        tar::EntryType::Block => 'b',
        tar::EntryType::Fifo => 'p',
        _ => '-',
    };
    // Other entries may leave these fields blank.
    let number = |number: std::io::Result<Option<u32>>| number.ok().flatten().unwrap_or_default();
    let device = (number(header.device_major()), number(header.device_minor()));
    let target = entry.link_name().expect("a link");
    Item {
        kind,
        path: entry.path().expect("a path").display().to_string(),
        mode: header.mode().expect("a mode"),
        uid: header.uid().expect("a uid"),
        gid: header.gid().expect("a gid"),
        size: entry.size(),
        mtime: header.mtime().expect("a time"),
        target: target.map(|target| target.display().to_string()),
        device,
        pax,
        content,
    }
}
