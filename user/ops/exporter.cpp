#include "ops/exporter.h"

#include <gnutls/abstract.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <string_view>

#include "base/signals.h"
#include "ops/basic_auth.h"

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

/// Who asks, as far as that can be told: an address, of IPv6 the network of 64 bits; empty for all of a unix socket.
std::string peer_of(MHD_Connection* connection) {
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  const sockaddr* address = info != nullptr ? info->client_addr : nullptr;
  if (address != nullptr && address->sa_family == AF_INET) {
    const auto& bytes = reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
    return {reinterpret_cast<const char*>(&bytes), sizeof(bytes)};
  }
  if (address != nullptr && address->sa_family == AF_INET6) {
    const auto& bytes = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
    return {reinterpret_cast<const char*>(&bytes), sizeof(bytes) / 2};
  }
  return "";
}

/// What MHD has for all connections: none. Each gets its own, so that it can change; without it there is no handshake.
int no_certificate(gnutls_session_t, const gnutls_datum_t*, int, const gnutls_pk_algorithm_t*, int, gnutls_pcert_st**,
                   unsigned*, gnutls_privkey_t*) {
  return -1;
}

Response plain(const std::string& text) { return make_response(text + "\n", "text/plain; charset=utf-8"); }

}  // namespace

struct Exporter::Impl {
  struct Connection {
    MHD_Connection* id = nullptr;  ///< null: free
    int fd = -1;
    std::uint64_t since_ns = 0;
    bool ended = false;                              ///< it was shut down, and MHD is about to see that
    std::shared_ptr<const Access> access = nullptr;  ///< as it was at its handshake
  };

  Impl(const Clock& of, Access who, Limits given)
      : clock(of), limits(given), auth(of), access(std::make_shared<const Access>(std::move(who))) {
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

  std::shared_ptr<const Access> access_now() {
    const std::lock_guard lock(mutex);
    return access;
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
    if (free == nullptr || info == nullptr) {
      return;
    }
    *free = {id, info->connect_fd, now, false, access_now()};
    if (const auto& tls = free->access->tls) {
      const MHD_ConnectionInfo* session = MHD_get_connection_info(id, MHD_CONNECTION_INFO_GNUTLS_SESSION);
      if (session == nullptr || !tls->secure(session->tls_session)) {
        ::shutdown(free->fd, SHUT_RDWR);
        free->ended = true;
      }
    }
  }

  void closed(MHD_Connection* id) {
    const auto found = std::ranges::find(connections, id, &Connection::id);
    if (found != connections.end()) {
      *found = {};
    }
  }

  /// What is to be said to one who may not be answered; nullopt: may be.
  std::optional<MHD_Result> refusal(MHD_Connection* to) {
    const auto connection = std::ranges::find(connections, to, &Connection::id);
    if (connection == connections.end()) {
      return MHD_NO;
    }
    const Users& users = connection->access->users;
    if (users.empty()) {
      return std::nullopt;
    }
    const char* given = MHD_lookup_connection_value(to, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    const Verdict verdict = auth.check(users, given != nullptr ? given : "", peer_of(to));
    if (verdict == Verdict::kGranted) {
      return std::nullopt;
    }
    ++refused;
    const bool later = verdict == Verdict::kLater;
    const Response response =
        plain(later ? "passwords are checked one after the other: ask again" : "a password, please");
    if (response) {
      MHD_add_response_header(response.get(), later ? MHD_HTTP_HEADER_RETRY_AFTER : MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                              later ? "1" : "Basic realm=\"mapwatch\"");
    }
    return send(to, later ? MHD_HTTP_TOO_MANY_REQUESTS : MHD_HTTP_UNAUTHORIZED, response);
  }

  MHD_Result answer(MHD_Connection* to, std::string_view path, std::string_view method) {
    ++requests;
    if (const auto sent = refusal(to)) {
      return *sent;
    }
    if (method != MHD_HTTP_METHOD_GET && method != MHD_HTTP_METHOD_HEAD) {
      const Response response = plain("only GET and HEAD");
      if (response) {
        MHD_add_response_header(response.get(), MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
      }
      return send(to, MHD_HTTP_METHOD_NOT_ALLOWED, response);
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
  ListenAddress address;
  std::string url;
  std::string socket_file;
  dev_t socket_dev = 0;
  ino_t socket_inode = 0;
  std::array<Connection, 2 * kMostConnections> connections;  ///< with those that are about to end
  std::atomic<std::uint64_t> requests = 0;
  std::atomic<std::uint64_t> late = 0;
  std::atomic<std::uint64_t> crowded = 0;
  std::atomic<std::uint64_t> refused = 0;
  std::atomic<bool> ready = false;
  std::atomic<std::uint64_t> handed_over_ns = 0;
  BasicAuth auth;
  std::mutex mutex;
  Response metrics;
  std::shared_ptr<const Access> access;
  MHD_Daemon* daemon = nullptr;
};

Exporter::Exporter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Exporter::~Exporter() = default;

Result<std::unique_ptr<Exporter>> Exporter::start(const ListenAddress& address, const Clock& clock, Access access,
                                                  Limits limits) {
  TRY(check_access(address, access));
  const bool tls = access.tls != nullptr;
  auto impl = std::make_unique<Impl>(clock, std::move(access), limits);
  UniqueFd socket = TRY(listen_at(address));
  impl->address = address;
  impl->url = address.unix_path.empty() ? (tls ? "https://" : "http://") + bound_to(socket.get()) : address.text;
  if (struct stat made = {}; !address.unix_path.empty() && ::lstat(address.unix_path.c_str(), &made) == 0) {
    impl->socket_file = address.unix_path;
    impl->socket_dev = made.st_dev;
    impl->socket_inode = made.st_ino;
  }
  impl->handed_over_ns = clock.monotonic_ns();
  const SignalsBlocked blocked;
  impl->daemon =
      MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | (tls ? MHD_USE_TLS : MHD_NO_FLAG), 0, nullptr,
                       nullptr, &Impl::on_request, impl.get(),                          //
                       MHD_OPTION_LISTEN_SOCKET, socket.release(),                      // MHD's to close
                       MHD_OPTION_NOTIFY_CONNECTION, &Impl::on_connection, impl.get(),  //
                       MHD_OPTION_CONNECTION_LIMIT, static_cast<unsigned>(2 * impl->limits.connections),
                       MHD_OPTION_CONNECTION_MEMORY_LIMIT, impl->limits.request_bytes,  //
                       MHD_OPTION_CONNECTION_TIMEOUT, impl->limits.silent_s,            //
                       MHD_OPTION_STRICT_FOR_CLIENT, 1,                                 //
                       tls ? MHD_OPTION_HTTPS_CERT_CALLBACK : MHD_OPTION_END, &no_certificate, MHD_OPTION_END);
  if (impl->daemon == nullptr) {
    return fail_errno("cannot serve metrics at " + address.text);
  }
  return std::unique_ptr<Exporter>(new Exporter(std::move(impl)));
}

Result<void> Exporter::may_use(const Access& access) const {
  if ((access.tls != nullptr) != (impl_->access_now()->tls != nullptr)) {
    return fail(ErrorKind::kUsage, "TLS is turned on or off at " + impl_->address.text + " by a new start only",
                "start the daemon anew, or change metrics-listen, too");
  }
  return check_access(impl_->address, access);
}

void Exporter::use(Access access) {
  auto made = std::make_shared<const Access>(std::move(access));
  const std::lock_guard lock(impl_->mutex);
  impl_->access.swap(made);
}

void Exporter::publish(const std::string& text) {
  Response made = make_response(text, "text/plain; version=0.0.4; charset=utf-8");
  impl_->handed_over_ns = impl_->clock.monotonic_ns();
  const std::lock_guard lock(impl_->mutex);
  impl_->metrics.swap(made);
}

void Exporter::set_ready(bool ready) { impl_->ready = ready; }

const std::string& Exporter::url() const { return impl_->url; }

Exporter::Counts Exporter::counts() const { return {impl_->requests, impl_->late, impl_->crowded, impl_->refused}; }

}  // namespace mapwatch::ops
