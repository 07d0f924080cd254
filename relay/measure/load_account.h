// What one listener of `tiercast load` has got, by its frames' sequence numbers, and how a frame is put down. The same
// code counts in the process and in the eBPF program below the network stack: C and C++, no loop, one cache line.
#ifndef TIERCAST_RELAY_MEASURE_LOAD_ACCOUNT_H
#define TIERCAST_RELAY_MEASURE_LOAD_ACCOUNT_H

#include <linux/types.h>

#define LOAD_WINDOW 64  // sequences behind the last, for which a copy can be told from a late one

// Of `flags`.
#define LOAD_PASS 1U   // its frames go up to the socket, too: told, not counted
#define LOAD_JUMPED 2U  // its first frame had the discontinuity flag: nothing before it was due

// All zeros: nothing has come. Of one flow, hence written by one processor at a time.
struct load_account {
  __u64 first;     // sequence of the first frame; 0: none came
  __u64 last;      // the highest
  __u64 seen;      // bit n: last - n has come
  __u32 frames;    // that came, copies and those too old to tell not among them
  __u32 lost;      // left out below the last; a late one makes up for its gap
  __u32 twice;     // copies
  __u32 late;      // came after one with a higher number
  __u32 stale;     // so far behind that nothing can be said: no gap is closed by it
  __u32 jumped;    // sequences left out that the source said it would leave out
  __u32 longest;   // frames in a row that were missing when the next one came, at most
  __u32 attests;   // ATTEST datagrams
  __u32 idles;     // IDLE datagrams
  __u32 flags;     // LOAD_…
};

// One FRAME of that sequence, never 0. `jumps`: it has the discontinuity flag.
static inline __attribute__((always_inline)) void load_count(struct load_account* to, __u64 sequence, int jumps) {
  if (to->first == 0) {
    to->first = sequence;
    to->last = sequence;
    to->seen = ~0ULL;  // what lies before the first was never due
    to->frames = 1;
    if (jumps) to->flags |= LOAD_JUMPED;
    return;
  }
  if (sequence > to->last) {
    __u64 ahead = sequence - to->last;
    if (ahead > 1) {
      __u32 left_out = ahead - 1 < 0xffffffffULL ? (__u32)(ahead - 1) : 0xffffffffU;
      if (jumps) {
        to->jumped += left_out;
      } else {
        to->lost += left_out;
        if (left_out > to->longest) to->longest = left_out;
      }
    }
    to->seen = ahead < LOAD_WINDOW ? to->seen << ahead | 1ULL : 1ULL;
    // What was jumped over is no gap that a late frame could close.
    if (jumps) to->seen |= ahead < LOAD_WINDOW ? (1ULL << ahead) - 1 : ~0ULL;
    to->last = sequence;
    to->frames++;
    return;
  }
  __u64 back = to->last - sequence;
  if (back >= LOAD_WINDOW) {
    to->stale++;
  } else if (to->seen >> back & 1ULL) {
    if (sequence < to->first) {
      to->stale++;
    } else {
      to->twice++;
    }
  } else {
    to->seen |= 1ULL << back;
    to->late++;
    to->frames++;
    if (to->lost > 0) to->lost--;
  }
}

#endif
