// systemd stops a unit by killing every process of its cgroup; the guardian has to outlive mapwatch by a moment.
#pragma once

#include <string>

namespace mapwatch::guardian {

/// Moves this process out of the cgroup that it shares with mapwatch, in every hierarchy by which systemd may track
/// units (v2, and v1's name=systemd). Empty when done; else what could not be done and why, for -v.
std::string enter_own_cgroup();
/// Back to the root, and the directory away when nobody else is in it.
void leave_own_cgroup();

}  // namespace mapwatch::guardian
