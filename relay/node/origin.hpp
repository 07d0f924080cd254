// An origin's one source of one group: RTP in, sealed and signed frames into the group's history. Plain code; what must
// be on disk before it counts leaves as save jobs.
#pragma once

#include <optional>
#include <string>

#include "relay/node/group.hpp"
#include "relay/publish/alignment.hpp"
#include "relay/publish/epoch_schedule.hpp"
#include "relay/publish/publisher.hpp"

namespace tiercast::node {

struct FeedGroup;

/// Where a stored frame or attestation goes on to.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  virtual void on_frame_stored(FeedGroup& group, Sequence sequence) = 0;
  virtual void on_attestation_stored(FeedGroup& group, std::uint64_t number) = 0;
  virtual void on_opaque_stored(FeedGroup& group, std::uint64_t number) = 0;
};

struct OriginCounters {
  Counter drop_pinned, drop_publish;
  template <class F>
  void each(F&& f) const {
    f("origin_drop_pinned", drop_pinned);
    f("origin_drop_publish", drop_publish);
  }
};

class Origin {
 public:
  struct Setup {
    GroupId group;
    SourceId source;
    std::uint8_t frame_ms = 20;
    const crypto::PrivateKey* signing_key = nullptr;  // read during construction only
    publish::EpochState epochs;                       // what the last process left
    Sequence last;                                    // none up to this is sealed again, nor what …
    std::optional<Duration> since;                    // … may have been in the time since; nothing: it is not known
    std::optional<publish::ClockPoint> point;         // how that one numbered, by this boot's clock
    Duration rotate_every{};
    Random* random = nullptr;            // outlives it
    std::optional<SourceId> align = {};  // there is another origin, of that source: see on_other_…()
  };
  Origin(const Setup& setup, Moment now);

  void on_rtp(Bytes datagram, Moment now);
  /// What the origin of the group's other source says, and seals (proven and opened). Then run().
  void on_other_statement(const wire::GroupInfo& info, Moment now);
  void on_other_frame(Sequence sequence, Bytes opus, Moment now);
  void on_timer(Moment now);
  void end(Moment now) { ingest_.end(now); }
  /// Seals what is ready. After every on_…() and end().
  void run(FeedGroup& group, FrameSink& sink, Moment now);
  Time next_deadline() const;

  /// What must be on disk; while one is under way there is no other.
  struct SaveJob {
    publish::EpochState epochs;
    Sequence last;  // none beyond it has been sealed …
    Time at;        // … until then, and later hardly more than the clock has gone on: what has asks for the next one
    publish::ClockPoint point;  // how it numbers
    bool of_epochs = false;
  };
  std::optional<SaveJob> take_save(Time now);
  void on_saved(bool well, Moment now);

  /// "" or why not yet.
  std::string rotate(Moment now);
  void set_rotation(Duration every) { epochs_.set_rotation(every); }
  bool epochs_changed();
  /// Signed: what everybody below should hold.
  auto announced() const {
    auto epochs = epochs_.announced();
    for (wire::EpochRecord& epoch : epochs) epoch = publisher_.sign(epoch);
    return epochs;
  }
  wire::GroupInfo statement() const { return statement_; }
  /// The statement's RTP goes another way than it did: nobody should wait for it. Once.
  bool take_statement_changed() { return std::exchange(statement_changed_, false); }
  /// Null: no other origin is configured.
  const publish::Alignment* alignment() const { return alignment_ ? &*alignment_ : nullptr; }
  publish::IngestHealth health(Time now) const { return ingest_.health(now); }
  std::optional<publish::Refusal> take_refusal(Time now) { return ingest_.take_refusal(now); }
  std::optional<wire::EpochRecord> current_epoch() const { return epochs_.current(); }
  const publish::Ingest& ingest() const { return ingest_; }
  const publish::Publisher& publisher() const { return publisher_; }
  const OriginCounters& counters() const { return counters_; }
  SourceId source() const { return source_; }

 private:
  void use_current_epoch();
  void store_attestation(FeedGroup& group, FrameSink& sink, Time now);
  void state(const publish::Tick& tick, Moment now);
  void align(Moment now);
  void watch_pace(Sequence sealed, Time now);

  /// A sequence, and when.
  struct Mark {
    Sequence sequence;
    Time at;
  };
  Sequence later(const Mark& mark, Time now) const;

  const SourceId source_;
  const Duration frame_;
  publish::Ingest ingest_;
  publish::EpochSchedule epochs_;
  publish::Publisher publisher_;
  std::optional<publish::Alignment> alignment_;
  wire::GroupInfo statement_;
  bool statement_changed_ = false;
  std::uint8_t untold_flags_ = 0;  // of a tick that could not be published: the next one's
  std::uint32_t epoch_in_use_ = 0;
  publish::EpochState saved_epochs_;
  std::optional<SaveJob> saving_;
  Mark saved_;
  Mark furthest_;  // of what was sealed since the last save began: the one most ahead of the clock
  Time next_sequence_save_;
  std::uint64_t saved_moves_ = 0;  // of ingest_, when the last save began
  Time next_ahead_save_;           // not before, for a stream that is ahead of the last one, or numbers otherwise
  std::uint64_t changes_seen_ = 0;
  OriginCounters counters_;
};

}  // namespace tiercast::node
