// empty_probe OBJECT PID BINARY OFFSET...: attaches an empty program at these file offsets of one process, says
// "attached" and keeps it so until stdin is closed. The yardstick of tests/bench/run.
#include <bpf/libbpf.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace {

struct CloseObject {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
struct DestroyLink {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};

int failed(const char* what) {
  std::fprintf(stderr, "empty_probe: %s: %s\n", what, std::strerror(errno));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fputs("usage: empty_probe OBJECT PID BINARY OFFSET...\n", stderr);
    return 2;
  }
  const std::unique_ptr<bpf_object, CloseObject> object(bpf_object__open_file(argv[1], nullptr));
  if (!object) {
    return failed("open object");
  }
  if (bpf_object__load(object.get()) != 0) {
    return failed("load");
  }
  const bpf_program* program = bpf_object__find_program_by_name(object.get(), "empty");
  std::vector<unsigned long> offsets;
  for (int i = 4; i < argc; ++i) {
    offsets.push_back(std::strtoul(argv[i], nullptr, 0));
  }
  bpf_uprobe_multi_opts options = {};
  options.sz = sizeof(options);
  options.offsets = offsets.data();
  options.cnt = offsets.size();
  const std::unique_ptr<bpf_link, DestroyLink> link(
      bpf_program__attach_uprobe_multi(program, std::atoi(argv[2]), argv[3], nullptr, &options));
  if (!link) {
    return failed("attach");
  }
  std::puts("attached");
  std::fflush(stdout);
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}
