// Keeps reads of a mapped file alive when the file shrinks under the mapping.
#pragma once

#include <cstddef>

namespace mapwatch::elf {

/// Installs the process's SIGBUS handler at the first call, then guards [data, data + size): a read of a page that
/// the file no longer has finds zeros. Faults elsewhere get the action that was there before. Any thread.
void guard_mapping(void* data, std::size_t size);

/// Ends guard_mapping(data, ...). Call it before the mapping goes.
void unguard_mapping(void* data);

}  // namespace mapwatch::elf
