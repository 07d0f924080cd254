// What the process tells its parent: sysexits(3)'s numbers, so that systemd's RestartPreventExitStatus= can name those
// that a restart cannot mend.
#pragma once

namespace tiercast {

/// Converts to int by itself: `return ExitCode::config;`.
struct ExitCode {
  enum Value : int {
    ok = 0,
    usage = 64,           // EX_USAGE: the command line
    data = 65,            // EX_DATAERR: a file's contents
    no_input = 66,        // EX_NOINPUT: a file that is not there
    unavailable = 69,     // EX_UNAVAILABLE: the other side
    software = 70,        // EX_SOFTWARE: our own fault
    os = 71,              // EX_OSERR: the kernel refuses, a setting must change
    cannot_create = 73,   // EX_CANTCREAT: an output file
    io = 74,              // EX_IOERR: writing an output failed, such as on a full disk
    restart_needed = 75,  // EX_TEMPFAIL: reload took over the rest
    permission = 77,      // EX_NOPERM
    config = 78,          // EX_CONFIG: the node's file
  };
};

}  // namespace tiercast
