//! What this machine withholds from the generator: looked at about once a second on the collector's thread, never on a
//! lane's.
//!
//! Everything comes from files of the Linux kernel; where one is missing or says nothing, that part stays unknown.

use std::fs;
use std::time::Duration;

use crate::measure::{Health, Level};
use crate::time::Moment;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Looks at the lanes' threads and at the machine.
pub(super) struct HostWatch {
    /// Files of the lanes' threads that have not ended.
    lanes: Vec<Lane>,
    ticks: Option<Ticks>,
    looked: Option<Moment>,
    ports: Option<u64>,
}

/// One lane's thread.
struct Lane {
    file: String,
    before: Option<Turns>,
}

/// What the kernel's scheduler says of a thread, in nanoseconds and turns since it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turns {
    ran: u64,
    waited: u64,
    times: u64,
}

/// What the kernel says of all processors, in ticks since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ticks {
    all: u64,
    busy: u64,
    stolen: u64,
}

impl HostWatch {
    /// Looks at these threads of this process.
    pub(super) fn new(threads: impl IntoIterator<Item = u32>) -> Self {
        let lane = |thread: u32| Lane { file: format!("/proc/self/task/{thread}/schedstat"), before: None };
        let range = read("/proc/sys/net/ipv4/ip_local_port_range");
        let ports = range.as_deref().and_then(ports_in);
        Self { lanes: threads.into_iter().map(lane).collect(), ticks: None, looked: None, ports }
    }

    /// Looks, where a second is over since it did last; the first time only at where the counts begin. Says what was
    /// seen, and when the second that it is about was.
    pub(super) fn look(&mut self, now: Moment) -> Option<(Moment, Health)> {
        let since = self.looked;
        if since.is_some_and(|looked| now.since(looked) < EVERY) {
            return None;
        }
        self.looked = Some(now);
        let mut health = Health::default();
        let passed = now.since(since.unwrap_or(now)).as_nanos() as u64;
        for lane in &mut self.lanes {
            let after = read(&lane.file).as_deref().and_then(turns_in);
            if let (Some(before), Some(after)) = (lane.before, after) {
                health.watched += passed;
                health.ran += after.ran.saturating_sub(before.ran);
                health.waited += after.waited.saturating_sub(before.waited);
                health.turns += after.times.saturating_sub(before.times);
            }
            lane.before = after;
        }
        let after = read("/proc/stat").as_deref().and_then(ticks_in);
        if let (Some(before), Some(after)) = (self.ticks, after) {
            health.ticks = after.all.saturating_sub(before.all);
            health.busy = after.busy.saturating_sub(before.busy);
            health.stolen = after.stolen.saturating_sub(before.stolen);
        }
        self.ticks = after;
        health.descriptors = descriptors().map(Level::of).unwrap_or_default();
        health.most_descriptors = most_descriptors().map(Level::of).unwrap_or_default();
        health.sockets = sockets().map(Level::of).unwrap_or_default();
        health.ports = self.ports.map(Level::of).unwrap_or_default();
        // What passed was before now: it is about the second in which most of it was.
        since.map(|since| (since, health))
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// `schedstat`: nanoseconds on a processor, nanoseconds waiting for one, turns. A kernel that does not count says zero
/// of everything; then nothing is known.
fn turns_in(text: &str) -> Option<Turns> {
    let mut numbers = text.split_ascii_whitespace().map_while(|word| word.parse().ok());
    let turns = Turns { ran: numbers.next()?, waited: numbers.next()?, times: numbers.next()? };
    (turns != Turns { ran: 0, waited: 0, times: 0 }).then_some(turns)
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal, and guests, who are in the
/// first two already.
fn ticks_in(text: &str) -> Option<Ticks> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let numbers: Vec<u64> = line.split_ascii_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    let [user, nice, system, idle, iowait, irq, softirq, stolen] = numbers.try_into().ok()?;
    let busy = [user, nice, system, irq, softirq].into_iter().fold(0, u64::saturating_add);
    let all = [busy, idle, iowait, stolen].into_iter().fold(0, u64::saturating_add);
    Some(Ticks { all, busy, stolen })
}

/// How many ports there are between the two that the kernel names.
fn ports_in(text: &str) -> Option<u64> {
    let mut numbers = text.split_ascii_whitespace().map_while(|word| word.parse::<u64>().ok());
    let (first, last) = (numbers.next()?, numbers.next()?);
    last.checked_sub(first).map(|between| between + 1)
}

/// Sockets of TCP in use, and those that wait after their end so that their port is not free yet.
fn sockets_in(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:").or_else(|| line.strip_prefix("TCP6:")))?;
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let of = |name: &str| words.windows(2).find(|pair| pair[0] == name).and_then(|pair| pair[1].parse::<u64>().ok());
    Some(of("inuse")? + of("tw").unwrap_or(0))
}

fn sockets() -> Option<u64> {
    let sixth = read("/proc/net/sockstat6").as_deref().and_then(sockets_in).unwrap_or(0);
    Some(read("/proc/net/sockstat").as_deref().and_then(sockets_in)? + sixth)
}

/// How many local ports there are for outgoing connections to one address; `None` where the system does not say.
pub fn local_ports() -> Option<u64> {
    read("/proc/sys/net/ipv4/ip_local_port_range").as_deref().and_then(ports_in)
}

/// How many file descriptors this process has open; `None` where the system does not say.
pub fn descriptors() -> Option<u64> {
    // Since Linux 6.2 the folder's length is the answer, which needs no list of thousands of names.
    let length = fs::metadata("/proc/self/fd").ok()?.len();
    if length > 0 { Some(length) } else { Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64) }
}

#[cfg(unix)]
fn most_descriptors() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(not(unix))]
fn most_descriptors() -> Option<u64> {
    None
}

/// The kernel's number of the current thread.
#[cfg(target_os = "linux")]
pub(super) fn this_thread() -> Option<u32> {
    u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn this_thread() -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read_and_a_kernel_that_does_not_count_is_not_believed() {
        assert_eq!(turns_in("98106 2808685 2\n"), Some(Turns { ran: 98_106, waited: 2_808_685, times: 2 }));
        assert_eq!((turns_in("0 0 0\n"), turns_in("1 2"), turns_in("")), (None, None, None));
        let stat = "cpu  100 20 30 400 5 6 7 32 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(ticks_in(stat), Some(Ticks { all: 600, busy: 163, stolen: 32 }));
        assert_eq!((ticks_in("cpu 1 2 3\n"), ticks_in("")), (None, None));
        assert_eq!((ports_in("32768\t60999\n"), ports_in("9 3"), ports_in("x")), (Some(28_232), None, None));
        let fourth = "sockets: used 20\nTCP: inuse 11 orphan 0 tw 76 alloc 1 mem 34\nUDP: inuse 5 mem 0\n";
        assert_eq!(
            (sockets_in(fourth), sockets_in("TCP6: inuse 4\n"), sockets_in("UDP: inuse 1")),
            (Some(87), Some(4), None)
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_look_is_about_what_passed_since_the_last_and_comes_once_a_second() {
        let mut watch = HostWatch::new(this_thread());
        let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
        assert_eq!(watch.look(at(0)), None);
        assert_eq!(watch.look(at(999)), None);
        let (begin, health) = watch.look(at(2500)).expect("a look");
        assert_eq!((begin, health.watched), (at(0), 2_500_000_000));
        assert!(health.descriptors.min() >= Some(3) && health.most_descriptors.min() >= health.descriptors.min());
        assert!(health.ports.min() > Some(1000), "{health:?}");
        assert_eq!(watch.look(at(3000)), None);
        // A thread that has ended is no longer watched.
        let mut gone = HostWatch::new([u32::MAX - 1]);
        gone.look(at(0));
        assert_eq!(gone.look(at(1000)).map(|(_, health)| health.watched), Some(0));
    }
}
