// Events from the kernel's ring buffer.
#pragma once

#include <memory>

#include "ingest/event_source.h"

struct ring_buffer;

namespace mapwatch::ingest {

class RingSource final : public EventSource {
 public:
  /// `ring_fd`: of a BPF_MAP_TYPE_RINGBUF, which must outlive this.
  static Result<std::unique_ptr<RingSource>> create(int ring_fd);
  ~RingSource() override;

  Result<std::size_t> poll(std::chrono::milliseconds timeout, const Sink& sink) override;
  /// Readable when there are records.
  int epoll_fd() const;
  std::size_t size() const;     ///< bytes
  std::size_t waiting() const;  ///< bytes of it that are not read yet

 private:
  RingSource() = default;
  static int on_record(void* self, void* data, std::size_t size);

  ring_buffer* ring_ = nullptr;
  const Sink* sink_ = nullptr;
};

}  // namespace mapwatch::ingest
