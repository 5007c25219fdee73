use std::cmp::Reverse;
use std::collections::BinaryHeap;

use acetate_graph::VertexId;

/// Steps that could run, the one with the most expensive work behind it first.
///
/// Entries can go stale, when an input is lost after its dependent became ready; whoever pops
/// checks. Ties go to the smaller id, so that the order never depends on chance.
#[derive(Debug, Default)]
pub(super) struct ReadyQueue {
    heap: BinaryHeap<(u64, Reverse<VertexId>)>,
}

impl ReadyQueue {
    pub(super) fn push(&mut self, priority: u64, vertex: VertexId) {
        self.heap.push((priority, Reverse(vertex)));
    }

    pub(super) fn pop(&mut self) -> Option<VertexId> {
        self.heap.pop().map(|(_, Reverse(vertex))| vertex)
    }
}

/// A number of slots, some of them taken.
#[derive(Debug)]
pub(super) struct Slots {
    limit: usize,
    taken: usize,
}

impl Slots {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            taken: 0,
        }
    }

    pub(super) fn is_free(&self) -> bool {
        self.taken < self.limit
    }

    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    pub(super) fn take(&mut self) {
        self.taken += 1;
    }

    pub(super) fn give_back(&mut self) {
        self.taken -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_expensive_comes_first_and_ties_go_to_the_smaller_id() {
        let mut queue = ReadyQueue::default();
        for (priority, id) in [(1, 0), (5, 3), (5, 2), (9, 7)] {
            queue.push(priority, VertexId(id));
        }
        let order: Vec<u32> = std::iter::from_fn(|| queue.pop()).map(|id| id.0).collect();
        assert_eq!(order, [7, 2, 3, 0]);
    }

    #[test]
    fn no_slots_count_as_one() {
        let mut slots = Slots::new(0);
        assert!(slots.is_free());
        slots.take();
        assert!(!slots.is_free());
        slots.give_back();
        assert_eq!(slots.taken(), 0);
    }
}
