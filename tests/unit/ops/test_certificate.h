// A key and a certificate of it that it signed itself, as PEM.
#pragma once

#include <gnutls/x509.h>

#include <ctime>
#include <string>

namespace mapwatch::test {

struct TestCertificate {
  TestCertificate() {
    gnutls_x509_privkey_t of = nullptr;
    gnutls_x509_crt_t signed_one = nullptr;
    gnutls_x509_privkey_init(&of);
    gnutls_x509_crt_init(&signed_one);
    gnutls_x509_privkey_generate(of, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    gnutls_x509_crt_set_version(signed_one, 3);
    gnutls_x509_crt_set_serial(signed_one, "\x01", 1);
    gnutls_x509_crt_set_activation_time(signed_one, ::time(nullptr) - 60);
    gnutls_x509_crt_set_expiration_time(signed_one, ::time(nullptr) + 3600);
    gnutls_x509_crt_set_key(signed_one, of);
    gnutls_x509_crt_sign2(signed_one, signed_one, of, GNUTLS_DIG_SHA256, 0);
    gnutls_datum_t text = {};
    gnutls_x509_privkey_export2(of, GNUTLS_X509_FMT_PEM, &text);
    key = take(text);
    gnutls_x509_crt_export2(signed_one, GNUTLS_X509_FMT_PEM, &text);
    certificate = take(text);
    gnutls_x509_crt_deinit(signed_one);
    gnutls_x509_privkey_deinit(of);
  }

  std::string certificate;
  std::string key;

 private:
  static std::string take(const gnutls_datum_t& text) {
    std::string out(reinterpret_cast<const char*>(text.data), text.size);
    gnutls_free(text.data);
    return out;
  }
};

}  // namespace mapwatch::test
