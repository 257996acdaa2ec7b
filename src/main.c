/* The command line: finds the command and hands over. */
#include "cli/cli.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* Started without stdin, stdout or stderr, a file or a pipe of its own would get the number, and be
 * written to as if it were the log. To write to this one still fails. */
static void hold_standard_files(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDONLY); /* NOLINT(android-cloexec-open): as others inherit them */
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    hold_standard_files();
    signal(SIGCHLD, SIG_DFL); /* where it was left ignored, nobody hears how a child ended */
    return cli_main(argc, argv);
}
