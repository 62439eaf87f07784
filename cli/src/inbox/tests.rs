//! Tests on a disk that is full, or that fails.

use std::fs;
use std::sync::atomic::AtomicU32;

use cap_std::fs::ReadDir;

use super::*;

/// A disk of some bytes, for the files in a folder. Clones are the same.
#[derive(Clone, Debug)]
struct Small(Arc<State>);

#[derive(Debug)]
struct State {
    folder: tempfile::TempDir,
    bytes: AtomicU64,
    /// Whether the disk says how much is free.
    says_free: AtomicBool,
    fails_to_sync: AtomicBool,
    /// The number of writes that lose the end of the file before they say that the disk is full.
    losses: AtomicU32,
    /// How often the folder was listed.
    lists: AtomicU32,
    calls: Mutex<Vec<&'static str>>,
}

impl Small {
    fn used(&self) -> u64 {
        let entries = fs::read_dir(&self.0.folder).unwrap();
        entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    }

    fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.calls.lock().unwrap())
    }
}

impl Disk for Small {
    fn free(&self) -> Option<u64> {
        let free = self.0.bytes.load(Ordering::Relaxed).saturating_sub(self.used());
        self.0.says_free.load(Ordering::Relaxed).then_some(free)
    }

    fn list(&self, dir: &Dir) -> io::Result<ReadDir> {
        self.0.lists.fetch_add(1, Ordering::Relaxed);
        dir.entries()
    }

    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        use std::io::{Seek as _, SeekFrom, Write as _};
        let room = self.0.bytes.load(Ordering::Relaxed).saturating_sub(self.used());
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if room == 0 {
            if self.0.losses.load(Ordering::Relaxed) > 0 {
                self.0.losses.fetch_sub(1, Ordering::Relaxed);
                file.seek(SeekFrom::Current(-1)).unwrap();
                file.write_all(b"?").unwrap();
            }
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write(&bytes[..room.min(bytes.len())])
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        self.0.calls.lock().unwrap().push("sync");
        match self.0.fails_to_sync.load(Ordering::Relaxed) {
            true => Err(io::Error::other("the disk is broken")),
            false => Ok(()),
        }
    }

    fn sync_names(&self) -> io::Result<bool> {
        self.0.calls.lock().unwrap().push("sync names");
        Ok(true)
    }
}

/// Returns an inbox on a disk of 1000 bytes.
fn inbox() -> (Small, Inbox) {
    inbox_of(u64::MAX)
}

fn inbox_of(max_parts: u64) -> (Small, Inbox) {
    let folder = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(&folder, ambient_authority()).unwrap();
    let disk = Small(Arc::new(State {
        folder,
        bytes: AtomicU64::new(1000),
        says_free: AtomicBool::new(true),
        fails_to_sync: AtomicBool::new(false),
        losses: AtomicU32::new(0),
        lists: AtomicU32::new(0),
        calls: Mutex::default(),
    }));
    let inbox = Inbox::new(dir, Box::new(disk.clone()), OnExists::Refuse, None, max_parts);
    (disk, inbox)
}

fn key(name: &str) -> ResumeKey {
    ResumeKey([name.len().try_into().unwrap(); 16])
}

fn begin(inbox: &Inbox, name: &str, size: Option<u64>) -> Result<Part, Refusal> {
    match inbox.offer(name, &key(name), size)? {
        Offer::Part(part, _) | Offer::Undigested(Undigested::Part(part)) => Ok(part),
        other => panic!("{other:?}"),
    }
}

/// Leaves a part of this length, changed this number of seconds ago.
fn leave(disk: &Small, name: &str, len: usize, age: u64) {
    let path = disk.0.folder.path().join(name::of_part(name, &key(name)));
    fs::write(&path, vec![7; len]).unwrap();
    let modified = SystemTime::now() - Duration::from_secs(age);
    fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

/// Returns which of these have a part.
fn left<'a>(disk: &Small, names: &[&'a str]) -> Vec<&'a str> {
    let has_part =
        |name: &&str| disk.0.folder.path().join(name::of_part(name, &key(name))).exists();
    names.iter().copied().filter(has_part).collect()
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

#[test]
fn a_full_disk_removes_the_oldest_unused_parts_one_by_one() {
    let (disk, inbox) = inbox();
    leave(&disk, "newest", 300, 10);
    leave(&disk, "old", 300, 30);
    leave(&disk, "middle", 300, 20);
    let names = ["newest", "old", "middle", "used", "new"];
    let mut used = begin(&inbox, "used", None).unwrap();
    used.write(&[1; 50]).unwrap();
    let mut new = begin(&inbox, "new", None).unwrap();
    new.write(&[1; 50]).unwrap();
    assert_eq!(left(&disk, &names), names);
    new.write(&[2; 150]).unwrap();
    assert_eq!(left(&disk, &names), ["newest", "middle", "used", "new"]);
    new.write(&[3; 160]).unwrap();
    assert_eq!(left(&disk, &names), ["newest", "used", "new"]);
    let content = [&[1; 50][..], &[2; 150], &[3; 160]].concat();
    // Only those that nobody uses: then the write fails.
    let error = begin(&inbox, "endless", None).unwrap().write(&[4; 2000]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(left(&disk, &names), ["used", "new"]);
    let digest = sha256(&content);
    assert!(matches!(inbox.store(new, "new", None, digest, Some(digest)), Ok(Stored::As(_))));
    assert_eq!(fs::read(disk.0.folder.path().join("new")).unwrap(), content);
}

#[test]
fn a_file_of_known_size_is_accepted_only_if_the_disk_has_room() {
    const BLOCK: u64 = 4096;
    let (disk, inbox) = inbox();
    disk.0.bytes.store(8 * BLOCK, Ordering::Relaxed);
    leave(&disk, "newer", 2 * 4096, 10);
    leave(&disk, "older", 2 * 4096, 20);
    let names = ["newer", "older"];
    let refused = |name, size| {
        let refusal = begin(&inbox, name, Some(size)).unwrap_err();
        assert_eq!(refusal.code, Code::NO_SPACE);
        (refusal.kept, refusal.cause.unwrap().to_string())
    };
    drop(begin(&inbox, "a", Some(4 * BLOCK)).unwrap());
    let why = "32769 bytes are wanted, and 16384 are free".to_owned();
    assert_eq!(refused("b", 8 * BLOCK + 1), (0, why));
    assert_eq!(left(&disk, &names), names, "all would not be enough");
    // A file needs room only for what is not here yet.
    drop(begin(&inbox, "newer", Some(8 * BLOCK)).unwrap());
    let why = "24577 bytes are wanted, and 16384 are free".to_owned();
    assert_eq!(refused("newer", 8 * BLOCK + 1), (2 * BLOCK, why));
    inbox.offer_once("c", 8 * BLOCK).unwrap();
    assert_eq!(left(&disk, &names), names, "no byte has arrived");
    // Nothing is asked for a file of unknown size, nor of a disk that does not say.
    disk.0.bytes.store(0, Ordering::Relaxed);
    drop(begin(&inbox, "d", None).unwrap());
    disk.0.says_free.store(false, Ordering::Relaxed);
    drop(begin(&inbox, "d", Some(5000)).unwrap());
}

/// Whoever announces a size, and sends nothing, costs others nothing.
#[test]
fn what_is_only_announced_removes_no_part() {
    // On a disk that is nearly full, and with parts that take nearly all that they may.
    for (free, max_parts) in [(500, u64::MAX), (u64::MAX >> 1, 3 * 4096)] {
        let (disk, inbox) = inbox_of(max_parts);
        for (name, age) in [("a", 30), ("bb", 20), ("ccc", 10)] {
            leave(&disk, name, 4096, age);
        }
        disk.0.bytes.store(3 * 4096 + free, Ordering::Relaxed);
        inbox.in_use.limit(&inbox.dir).unwrap();
        let names = ["a", "bb", "ccc"];
        let size = Some(3 * 4096);
        let mut parts: Vec<_> = ["dddd", "eeeee"].map(|name| begin(&inbox, name, size)).into();
        assert!(parts.iter().all(Result::is_ok), "there could be room for each");
        assert_eq!(left(&disk, &names), names);
        // The first byte that finds no room takes the place of the oldest, and no more than that.
        for _ in 0..3 {
            parts[0].as_mut().unwrap().write(&[1; 1000]).unwrap();
            assert_eq!(left(&disk, &names), names[1..]);
        }
        // Nobody gives way to a file that could have no room in any case.
        let refusal = begin(&inbox, "ffffff", Some(20 << 20)).unwrap_err();
        let code = if free == 500 { Code::NO_SPACE } else { Code::TOO_LARGE };
        assert_eq!((refusal.code, left(&disk, &names).len()), (code, 2));
    }
}

/// Files that grow are not refused for an announcement, which could have no room without them either.
#[test]
fn an_announcement_asks_for_no_room_of_files_that_grow() {
    let (disk, inbox) = inbox_of(3 * 4096);
    disk.0.bytes.store(u64::MAX >> 1, Ordering::Relaxed);
    let mut part = begin(&inbox, "a", Some(2 * 4096)).unwrap();
    part.write(&[1; 4096]).unwrap();
    let refusal = begin(&inbox, "bb", Some(3 * 4096)).unwrap_err();
    assert_eq!((refusal.code, inbox.is_room_wanted()), (Code::BUSY, false));
    // Bytes that have arrived do ask for it.
    let mut other = begin(&inbox, "ccc", None).unwrap();
    assert!(other.write(&[2; 3 * 4096]).is_err() && inbox.is_room_wanted());
}

/// With all the parts that there may be, each new part takes the place of one, and the folder is not listed
/// for it.
#[test]
fn a_part_does_not_cost_more_the_more_there_are() {
    let (disk, inbox) = inbox_of(200 * 4096);
    disk.0.bytes.store(u64::MAX >> 1, Ordering::Relaxed);
    for age in 0..200 {
        leave(&disk, &"x".repeat(age + 1), 1, u64::try_from(age).unwrap() + 10);
    }
    inbox.in_use.limit(&inbox.dir).unwrap();
    for new in 0..100 {
        let mut part = begin(&inbox, &"y".repeat(new + 1), Some(4096)).unwrap();
        part.write(b"1").unwrap();
    }
    assert_eq!(disk.0.lists.load(Ordering::Relaxed), 1);
    assert_eq!(fs::read_dir(disk.0.folder.path()).unwrap().count(), 200);
}

/// A later sync could not say that bytes are lost.
#[test]
fn a_part_that_cannot_be_synced_is_dropped() {
    let (disk, inbox) = inbox();
    let digest = sha256(b"12345");
    for is_whole in [true, false] {
        let mut part = begin(&inbox, "a", Some(5)).unwrap();
        assert_eq!(part.len(), 0);
        disk.0.fails_to_sync.store(true, Ordering::Relaxed);
        if is_whole {
            part.write(b"12345").unwrap();
            let refusal = inbox.store(part, "a", None, digest, Some(digest)).unwrap_err();
            assert_eq!((refusal.code, refusal.kept), (Code::STORAGE_FAILED, 0));
        } else {
            // The connection is over.
            part.write(b"123").unwrap();
            drop(part);
        }
        assert_eq!(disk.used(), 0);
        disk.0.fails_to_sync.store(false, Ordering::Relaxed);
    }
    let mut part = begin(&inbox, "a", Some(5)).unwrap();
    part.write(b"12345").unwrap();
    disk.calls();
    assert!(matches!(inbox.store(part, "a", None, digest, Some(digest)), Ok(Stored::As(_))));
    assert_eq!(disk.calls(), ["sync", "sync names"]);
}

#[test]
fn what_was_lost_while_the_disk_was_full_is_noticed() {
    for losses in [0, 1] {
        let (disk, inbox) = inbox();
        leave(&disk, "older", 998, 10);
        disk.0.losses.store(losses, Ordering::Relaxed);
        let mut part = begin(&inbox, "a", None).unwrap();
        part.write(b"12345").unwrap();
        let digest = sha256(b"12345");
        match inbox.store(part, "a", None, digest, Some(digest)) {
            Ok(Stored::As(_)) => assert_eq!((losses, disk.used()), (0, 5)),
            Err(refusal) => {
                assert_eq!((losses, disk.used()), (1, 0));
                assert_eq!((refusal.code, refusal.kept), (Code::NO_SPACE, 0));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_file_that_is_there_is_synced_with_its_name_before_the_answer() {
    let (disk, inbox) = inbox();
    fs::write(disk.0.folder.path().join("a"), "12345").unwrap();
    let Ok(Offer::Undigested(undigested)) = inbox.offer("a", &key("a"), Some(5)) else {
        panic!("it is not digested yet")
    };
    assert_eq!(disk.calls(), [""; 0]);
    let answer = inbox.digest(undigested, &Needless::default());
    let digest = sha256(b"12345");
    assert!(matches!(answer, Ok(Offer::Exists(Some(there))) if there == (5, digest)));
    assert_eq!(disk.calls(), ["sync", "sync names"]);
    // Also if the file has arrived again.
    let mut part = inbox.offer_once("a", 5).unwrap();
    part.write(b"12345").unwrap();
    assert!(matches!(inbox.store(part, "a", None, digest, None), Ok(Stored::As(_))));
    assert_eq!(disk.calls(), ["sync", "sync", "sync names"]);
    // A file that cannot be synced is not the one that was offered.
    disk.0.fails_to_sync.store(true, Ordering::Relaxed);
    let answer = inbox.exists("a", 5, &AtomicBool::new(false));
    assert!(matches!(answer, Ok(Offer::Exists(None))));
    // A file that was taken out while it was to be digested.
    fs::remove_file(disk.0.folder.path().join("a")).unwrap();
    let refusal = inbox.exists("a", 5, &AtomicBool::new(false)).unwrap_err();
    assert_eq!(refusal.code, Code::BUSY);
}

#[test]
fn parts_last_a_week_and_times_that_cannot_be_true_begin_anew() {
    const DAY: u64 = 24 * 60 * 60;
    let (disk, inbox) = inbox();
    for (name, age) in [("old", 8 * DAY), ("fresh", 6 * DAY), ("ahead", 0), ("epoch", 0)] {
        leave(&disk, name, 1, age);
    }
    let now = SystemTime::now();
    let set = |name: &str, time| {
        let path = disk.0.folder.path().join(name::of_part(name, &key(name)));
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    set("ahead", now + Duration::from_secs(70 * 365 * DAY));
    set("epoch", SystemTime::UNIX_EPOCH + Duration::from_secs(DAY));
    inbox.remove_old_parts(now);
    assert_eq!(left(&disk, &["old", "fresh", "ahead", "epoch"]), ["fresh", "ahead", "epoch"]);
    // A week later they are old, too.
    inbox.remove_old_parts(now + Duration::from_secs(8 * DAY));
    assert_eq!(left(&disk, &["old", "fresh", "ahead", "epoch"]), [""; 0]);
    // A clock that is itself at its epoch removes nothing that is older than it.
    leave(&disk, "fresh", 1, 0);
    inbox.remove_old_parts(SystemTime::UNIX_EPOCH + Duration::from_secs(5 * DAY));
    assert_eq!(left(&disk, &["fresh"]), ["fresh"]);
}
