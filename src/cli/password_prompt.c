#include "cli/password_prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"

/* One line without its end. Byte by byte: what follows belongs to someone else. */
static int read_line(int fd, struct buf *ret, struct diag *d)
{
    for (;;) {
        uint8_t c = 0;
        ssize_t n = read(fd, &c, 1);
        if (n < 0)
            return errno == EINTR ? diag_set(d, ERR_CANCELED, 0, "Interrupted")
                                  : diag_set(d, err_from_errno(errno), errno,
                                             "Failed to read the password: %s", strerror(errno));
        if (n == 0 || c == '\n')
            break;
        if (buf_put_u8(ret, c) < 0)
            return diag_set(d, ERR_TOOBIG, 0, "The password is longer than %d bytes",
                            PASSWORD_PROMPT_MAX);
    }
    if (buf_len(ret) > 0 && ret->data[ret->end - 1] == '\r')
        ret->end--;
    if (buf_len(ret) == 0)
        return diag_set(d, ERR_CANCELED, 0, "No password was given");
    return 0;
}

static int read_file(const char *path, struct buf *ret, struct diag *d)
{
    CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to open the password file %s: %s",
                        path, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to look at %s: %s", path,
                        strerror(errno));
    if (S_ISREG(st.st_mode) && (st.st_mode & 077) != 0)
        return diag_set(d, ERR_PERM, 0,
                        "Other users may read the password file %s (mode %04o); run: chmod 600 %s",
                        path, (unsigned)(st.st_mode & 07777), path);
    return read_line(fd, ret, d);
}

/* ---- the terminal ---- */

static void say(int fd, const char *text)
{
    ssize_t n = write(fd, text, strlen(text));
    (void)n; /* a prompt that can't be shown is no reason to fail */
}

static int ask(int fd, const char *prompt, struct buf *ret, struct diag *d)
{
    struct termios shown;
    if (tcgetattr(fd, &shown) < 0)
        return diag_set(d, ERR_UNSUPPORTED, errno,
                        "The terminal can't hide a password; use --password-file");
    struct termios hidden = shown;
    hidden.c_lflag &=
        ~(tcflag_t)(ECHO | ISIG); /* an interrupt must not leave the echo off: it ends the line */
    hidden.c_lflag |= ICANON;
    tcsetattr(fd, TCSAFLUSH, &hidden);
    say(fd, prompt);
    int r = read_line(fd, ret, d);
    tcsetattr(fd, TCSAFLUSH, &shown);
    say(fd, "\n");
    if (r == 0 && memchr(ret->data + ret->start, hidden.c_cc[VINTR], buf_len(ret)) != NULL)
        r = diag_set(d, ERR_CANCELED, 0, "Interrupted");
    return r;
}

static int ask_terminal(const char *prompt, bool confirm, struct buf *ret, struct diag *d)
{
    CLEANUP(fd_closep) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return diag_set(
            d, ERR_UNSUPPORTED, errno,
            "There is no terminal to ask for the password; use --password-file FILE, or - for "
            "standard input");
    int r = ask(fd, prompt, ret, d);
    if (r < 0 || !confirm)
        return r;
    CLEANUP(buf_release_wiped) struct buf again;
    buf_init(&again, PASSWORD_PROMPT_MAX);
    r = ask(fd, "Again: ", &again, d);
    if (r == 0 && !slice_eq(buf_slice(ret), buf_slice(&again)))
        r = diag_set(d, ERR_INVAL, 0, "The two passwords differ; try again");
    return r;
}

int password_prompt(const char *file, const char *prompt, bool confirm, struct buf *ret,
                    struct diag *d)
{
    if (file == NULL)
        return ask_terminal(prompt, confirm, ret, d);
    if (str_eq(file, "-"))
        return read_line(STDIN_FILENO, ret, d);
    return read_file(file, ret, d);
}
