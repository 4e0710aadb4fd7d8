#include "ops/exporter.h"

#include <microhttpd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <string_view>

#include "base/signals.h"

namespace mapwatch::ops {

namespace {

constexpr std::size_t kMostConnections = 256;

using Response = std::shared_ptr<MHD_Response>;

Response make_response(const std::string& text, const char* type) {
  // MHD copies the text and does not change it.
  MHD_Response* made =
      MHD_create_response_from_buffer(text.size(), const_cast<char*>(text.data()), MHD_RESPMEM_MUST_COPY);
  if (made == nullptr) {
    return nullptr;
  }
  Response response(made, MHD_destroy_response);
  for (const auto& [name, value] : {std::pair{MHD_HTTP_HEADER_CONTENT_TYPE, type},
                                    {MHD_HTTP_HEADER_CONNECTION, "close"},
                                    {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
                                    {"X-Content-Type-Options", "nosniff"}}) {
    MHD_add_response_header(made, name, value);
  }
  return response;
}

Response plain(const std::string& text) { return make_response(text + "\n", "text/plain; charset=utf-8"); }

}  // namespace

struct Exporter::Impl {
  struct Connection {
    MHD_Connection* id = nullptr;  ///< null: free
    int fd = -1;
    std::uint64_t since_ns = 0;
    bool ended = false;  ///< it was shut down, and MHD is about to see that
  };

  Impl(const Clock& of, Limits given) : clock(of), limits(given) {
    limits.connections = std::clamp<std::size_t>(limits.connections, 1, kMostConnections);
  }
  ~Impl() {
    if (daemon != nullptr) {
      MHD_stop_daemon(daemon);
    }
    struct stat now = {};
    if (!socket_file.empty() && ::lstat(socket_file.c_str(), &now) == 0 && now.st_dev == socket_dev &&
        now.st_ino == socket_inode) {
      ::unlink(socket_file.c_str());
    }
  }

  void end(Connection& connection, std::atomic<std::uint64_t>& count) {
    ::shutdown(connection.fd, SHUT_RDWR);
    connection.ended = true;
    ++count;
  }

  // All of these on MHD's one thread.
  void opened(MHD_Connection* id) {
    const MHD_ConnectionInfo* info = MHD_get_connection_info(id, MHD_CONNECTION_INFO_CONNECTION_FD);
    const std::uint64_t now = clock.monotonic_ns();
    Connection* free = nullptr;
    Connection* oldest = nullptr;
    std::size_t open = 0;
    for (Connection& each : connections) {
      if (each.id == nullptr) {
        free = &each;
        continue;
      }
      if (!each.ended && now - each.since_ns > limits.connection_ns) {
        end(each, late);
      }
      if (!each.ended) {
        ++open;
        oldest = oldest == nullptr || each.since_ns < oldest->since_ns ? &each : oldest;
      }
    }
    if (open >= limits.connections && oldest != nullptr) {
      end(*oldest, crowded);
    }
    if (free != nullptr && info != nullptr) {
      *free = {id, info->connect_fd, now, false};
    }
  }

  void closed(MHD_Connection* id) {
    const auto found = std::ranges::find(connections, id, &Connection::id);
    if (found != connections.end()) {
      *found = {};
    }
  }

  MHD_Result answer(MHD_Connection* to, std::string_view path, std::string_view method) {
    ++requests;
    if (method != MHD_HTTP_METHOD_GET && method != MHD_HTTP_METHOD_HEAD) {
      const Response refused = plain("only GET and HEAD");
      if (refused) {
        MHD_add_response_header(refused.get(), MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
      }
      return send(to, MHD_HTTP_METHOD_NOT_ALLOWED, refused);
    }
    if (path == "/metrics") {
      const std::lock_guard lock(mutex);
      return metrics ? send(to, MHD_HTTP_OK, metrics)
                     : send(to, MHD_HTTP_SERVICE_UNAVAILABLE, plain("nothing is known yet"));
    }
    if (path == "/healthz") {
      const std::uint64_t age = clock.monotonic_ns() - handed_over_ns.load();
      return age <= limits.stale_ns
                 ? send(to, MHD_HTTP_OK, plain("ok"))
                 : send(to, MHD_HTTP_SERVICE_UNAVAILABLE,
                        plain("the watching thread told nothing for " + std::to_string(age / 1'000'000'000) + " s"));
    }
    if (path == "/readyz") {
      return ready ? send(to, MHD_HTTP_OK, plain("ready"))
                   : send(to, MHD_HTTP_SERVICE_UNAVAILABLE, plain("probes do not stand"));
    }
    return send(to, MHD_HTTP_NOT_FOUND, plain("there are /metrics, /healthz and /readyz"));
  }

  static MHD_Result send(MHD_Connection* to, unsigned status, const Response& response) {
    return response ? MHD_queue_response(to, status, response.get()) : MHD_NO;  // MHD_NO ends the connection
  }

  static void on_connection(void* self, MHD_Connection* id, void**, MHD_ConnectionNotificationCode code) {
    auto* impl = static_cast<Impl*>(self);
    code == MHD_CONNECTION_NOTIFY_STARTED ? impl->opened(id) : impl->closed(id);
  }

  static MHD_Result on_request(void* self, MHD_Connection* to, const char* url, const char* method, const char*,
                               const char*, std::size_t*, void**) {
    try {
      return static_cast<Impl*>(self)->answer(to, url, method);
    } catch (const std::exception&) {  // no memory; an exception must not pass through C
      return MHD_NO;
    }
  }

  const Clock& clock;
  Limits limits;
  std::string url;
  std::string socket_file;
  dev_t socket_dev = 0;
  ino_t socket_inode = 0;
  std::array<Connection, 2 * kMostConnections> connections;  ///< with those that are about to end
  std::atomic<std::uint64_t> requests = 0;
  std::atomic<std::uint64_t> late = 0;
  std::atomic<std::uint64_t> crowded = 0;
  std::atomic<bool> ready = false;
  std::atomic<std::uint64_t> handed_over_ns = 0;
  std::mutex mutex;
  Response metrics;
  MHD_Daemon* daemon = nullptr;
};

Exporter::Exporter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Exporter::~Exporter() = default;

Result<std::unique_ptr<Exporter>> Exporter::start(const ListenAddress& address, const Clock& clock, Limits limits) {
  if (!address.local()) {
    return fail(ErrorKind::kUsage, "metrics are not served at " + address.text + ": it is open to other hosts",
                kListenLocally);
  }
  auto impl = std::make_unique<Impl>(clock, limits);
  UniqueFd socket = TRY(listen_at(address));
  impl->url = address.unix_path.empty() ? "http://" + bound_to(socket.get()) : address.text;
  if (struct stat made = {}; !address.unix_path.empty() && ::lstat(address.unix_path.c_str(), &made) == 0) {
    impl->socket_file = address.unix_path;
    impl->socket_dev = made.st_dev;
    impl->socket_inode = made.st_ino;
  }
  impl->handed_over_ns = clock.monotonic_ns();
  const SignalsBlocked blocked;
  impl->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, nullptr, nullptr, &Impl::on_request,
                                  impl.get(), MHD_OPTION_LISTEN_SOCKET, socket.release(),          // MHD's to close
                                  MHD_OPTION_NOTIFY_CONNECTION, &Impl::on_connection, impl.get(),  //
                                  MHD_OPTION_CONNECTION_LIMIT, static_cast<unsigned>(2 * impl->limits.connections),
                                  MHD_OPTION_CONNECTION_MEMORY_LIMIT, impl->limits.request_bytes,  //
                                  MHD_OPTION_CONNECTION_TIMEOUT, impl->limits.silent_s,            //
                                  MHD_OPTION_STRICT_FOR_CLIENT, 1,                                 //
                                  MHD_OPTION_END);
  if (impl->daemon == nullptr) {
    return fail_errno("cannot serve metrics at " + address.text);
  }
  return std::unique_ptr<Exporter>(new Exporter(std::move(impl)));
}

void Exporter::publish(const std::string& text) {
  Response made = make_response(text, "text/plain; version=0.0.4; charset=utf-8");
  impl_->handed_over_ns = impl_->clock.monotonic_ns();
  const std::lock_guard lock(impl_->mutex);
  impl_->metrics.swap(made);
}

void Exporter::set_ready(bool ready) { impl_->ready = ready; }

const std::string& Exporter::url() const { return impl_->url; }

Exporter::Counts Exporter::counts() const { return {impl_->requests, impl_->late, impl_->crowded}; }

}  // namespace mapwatch::ops
