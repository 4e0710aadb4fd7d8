// Errors as values. A function that can fail returns Result<T>; TRY passes a failure on; exceptions of libraries
// are turned into an Error in the file that calls the library.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <tl/expected.hpp>

namespace mapwatch {

/// What went wrong decides the exit status (interface.md, "Exit status").
enum class ErrorKind {
  kFailed,       ///< mapwatch or the system failed: status 1
  kUsage,        ///< the command line, environment or config file is wrong: status 2
  kUnsupported,  ///< this host or target cannot be watched: status 3
  kGone,         ///< the target exited, was replaced or never existed: status 1
  kPermission,   ///< a capability is missing: status 1
  kMalformed,    ///< bytes that should be ELF, pclntab, a record... are not: status 3 for a target
};

/// message: what failed, on what. hint: what to do about it; may be empty.
struct Error {
  ErrorKind kind = ErrorKind::kFailed;
  std::string message;
  std::string hint;
};

template <typename T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorKind kind, std::string message, std::string hint = {}) {
  return tl::unexpected<Error>(Error{kind, std::move(message), std::move(hint)});
}

/// A failed system call: wraps `errnum` at the call that set it. EPERM and EACCES become kPermission, ESRCH kGone.
inline tl::unexpected<Error> fail_errno(std::string what, int errnum = errno, std::string hint = {}) {
  const ErrorKind kind = errnum == EPERM || errnum == EACCES ? ErrorKind::kPermission
                         : errnum == ESRCH                   ? ErrorKind::kGone
                                                             : ErrorKind::kFailed;
  return fail(kind, std::move(what) + ": " + std::generic_category().message(errnum), std::move(hint));
}

namespace detail {
template <typename R>
auto take(R&& result) {
  if constexpr (std::is_void_v<typename std::remove_reference_t<R>::value_type>) {
    return;
  } else {
    return std::move(*result);
  }
}
}  // namespace detail

}  // namespace mapwatch

/// auto x = TRY(f()); returns the error of f() from the enclosing function.
#define TRY(expression)                                         \
  __extension__({                                               \
    auto&& mw_try_result_ = (expression);                       \
    if (!mw_try_result_) {                                      \
      return tl::unexpected(std::move(mw_try_result_).error()); \
    }                                                           \
    ::mapwatch::detail::take(std::move(mw_try_result_));        \
  })
