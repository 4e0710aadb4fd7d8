// The guardian's own program.
#pragma once

namespace mapwatch::guardian {

/// Runs until mapwatch has ended and everything it had frozen is let go. `socket`: its end, inherited. Exit status.
int run_keeper(int socket);

}  // namespace mapwatch::guardian
