#include "ingest/ring_source.h"

#include <bpf/libbpf.h>

#include <cerrno>

namespace mapwatch::ingest {

Result<std::unique_ptr<RingSource>> RingSource::create(int ring_fd) {
  std::unique_ptr<RingSource> source(new RingSource());
  source->ring_ = ring_buffer__new(ring_fd, &RingSource::on_record, source.get(), nullptr);
  if (source->ring_ == nullptr) {
    return fail_errno("cannot map the ring buffer");
  }
  return source;
}

RingSource::~RingSource() { ring_buffer__free(ring_); }

int RingSource::on_record(void* self, void* data, std::size_t size) {
  const auto* source = static_cast<RingSource*>(self);
  (*source->sink_)(Bytes(data, size));
  return 0;
}

Result<std::size_t> RingSource::poll(std::chrono::milliseconds timeout, const Sink& sink) {
  sink_ = &sink;
  const int count =
      timeout.count() == 0 ? ring_buffer__consume(ring_) : ring_buffer__poll(ring_, static_cast<int>(timeout.count()));
  sink_ = nullptr;
  if (count == -EINTR) {
    return 0;
  }
  if (count < 0) {
    return fail_errno("reading the ring buffer", -count);
  }
  return static_cast<std::size_t>(count);
}

int RingSource::epoll_fd() const { return ring_buffer__epoll_fd(ring_); }

std::size_t RingSource::size() const { return ring__size(ring_buffer__ring(ring_, 0)); }

std::size_t RingSource::waiting() const { return ring__avail_data_size(ring_buffer__ring(ring_, 0)); }

}  // namespace mapwatch::ingest
