#include "ops/tls.h"

#include <fmt/format.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <type_traits>

#include "base/escape.h"
#include "base/guarded_file.h"

namespace mapwatch::ops {
namespace {

constexpr std::size_t kMostPem = std::size_t{1} << 20;

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* it) const {
    Free(it);
  }
};
using Credentials = std::unique_ptr<std::remove_pointer_t<gnutls_certificate_credentials_t>,
                                    Freed<gnutls_certificate_free_credentials>>;
using Priority = std::unique_ptr<std::remove_pointer_t<gnutls_priority_t>, Freed<gnutls_priority_deinit>>;

tl::unexpected<Error> bad(const std::string& what, const std::string& why, const std::string& hint = {}) {
  return fail(ErrorKind::kFailed, fmt::format("{}: {}", what, why), hint);
}

Result<std::string> text_of(const std::string& path) { return TRY(read_guarded_file(path, kMostPem)).text; }

/// What the file that `key` names has.
Result<std::string> named(const char* key, Result<std::string> text) {
  return std::move(text).map_error([key](Error error) {
    error.message = fmt::format("{} {}", key, error.message);
    return error;
  });
}

gnutls_datum_t datum(std::string& text) {
  return {reinterpret_cast<unsigned char*>(text.data()), static_cast<unsigned>(text.size())};
}

/// gnutls_certificate_verify_function: 0 goes on with the handshake. It is called without a certificate, too.
int verify(gnutls_session_t session) {
  unsigned status = 0;
  gnutls_typed_vdata_st purpose = {GNUTLS_DT_KEY_PURPOSE_OID,
                                   reinterpret_cast<unsigned char*>(const_cast<char*>(GNUTLS_KP_TLS_WWW_CLIENT)), 0};
  const int done = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
  return done == GNUTLS_E_SUCCESS && status == 0 ? 0 : GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

int verify_if_given(gnutls_session_t session) {
  unsigned count = 0;
  return gnutls_certificate_get_peers(session, &count) == nullptr ? 0 : verify(session);
}

}  // namespace

struct Tls::Impl {
  Credentials credentials;
  Priority priority;
  ClientCertificate client = ClientCertificate::kNone;
};

Tls::Tls(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tls::~Tls() = default;

Result<std::shared_ptr<const Tls>> Tls::load(const TlsFiles& files) {
  auto impl = std::make_unique<Impl>();
  impl->client = files.client;
  gnutls_certificate_credentials_t credentials = nullptr;
  if (const int error = gnutls_certificate_allocate_credentials(&credentials); error < 0) {
    return bad("TLS", gnutls_strerror(error));
  }
  impl->credentials.reset(credentials);
  std::string certificate = TRY(named("cert_file", text_of(files.certificate)));
  std::string key = TRY(named("key_file", read_secret_file(files.key, kMostPem)));
  const gnutls_datum_t public_part = datum(certificate);
  const gnutls_datum_t secret_part = datum(key);
  const int together =
      gnutls_certificate_set_x509_key_mem2(credentials, &public_part, &secret_part, GNUTLS_X509_FMT_PEM, nullptr, 0);
  gnutls_memset(key.data(), 0, key.size());
  if (together < 0) {
    return bad(fmt::format("cert_file {} with key_file {}", escape(files.certificate), escape(files.key)),
               gnutls_strerror(together), "PEM, the server's own certificate first, a key without a password");
  }
  if (files.client != ClientCertificate::kNone) {
    std::string trusted = TRY(named("client_ca_file", text_of(files.client_ca)));
    const gnutls_datum_t all = datum(trusted);
    const int count = gnutls_certificate_set_x509_trust_mem(credentials, &all, GNUTLS_X509_FMT_PEM);
    if (count <= 0) {
      return bad("client_ca_file " + escape(files.client_ca),
                 count == 0 ? "no certificate in it" : gnutls_strerror(count));
    }
  }
  gnutls_priority_t priority = nullptr;
  const char* versions = files.only_tls13 ? "-VERS-ALL:+VERS-TLS1.3" : "-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
  if (const int error = gnutls_priority_init2(&priority, versions, nullptr, GNUTLS_PRIORITY_INIT_DEF_APPEND);
      error < 0) {
    return bad("min_version", gnutls_strerror(error), "this host's /etc/gnutls/config may forbid it");
  }
  impl->priority.reset(priority);
  return std::shared_ptr<const Tls>(new Tls(std::move(impl)));
}

bool Tls::secure(void* session) const {
  auto* tls = static_cast<gnutls_session_t>(session);
  if (tls == nullptr || gnutls_priority_set(tls, impl_->priority.get()) < 0) {
    return false;
  }
  if (impl_->client != ClientCertificate::kNone) {
    const bool required = impl_->client == ClientCertificate::kRequired;
    gnutls_certificate_server_set_request(tls, required ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_REQUEST);
    gnutls_session_set_verify_function(tls, required ? verify : verify_if_given);
  }
  return gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, impl_->credentials.get()) >= 0;
}

}  // namespace mapwatch::ops
