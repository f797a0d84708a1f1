#include "platform/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define KEY_CTRL_C    3
#define KEY_CTRL_D    4
#define KEY_BACKSPACE 8
#define KEY_CTRL_U    21
#define KEY_DELETE    127

static int say(int tty, const char *text)
{
    return write(tty, text, strlen(text)) < 0 ? err_from_errno(errno) : 0;
}

/* Signals by keys are off meanwhile, so nothing leaves the terminal silent: the keys are read here. */
static int read_line(int tty, char *text, size_t size)
{
    size_t len = 0;
    for (;;) {
        char key = 0;
        ssize_t n = read(tty, &key, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        if (n == 0 || key == KEY_CTRL_C || (key == KEY_CTRL_D && len == 0))
            return ERR_CANCELED;
        if (key == '\n' || key == '\r')
            break;
        if (key == KEY_CTRL_U)
            len = 0;
        else if (key == KEY_BACKSPACE || key == KEY_DELETE)
            len -= len > 0;
        else if (len + 1 < size)
            text[len++] = key;
        else
            return ERR_TOOBIG;
    }
    text[len] = '\0';
    return 0;
}

int terminal_read_secret(const char *prompt, char *text, size_t size)
{
    struct termios before;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0 || tcgetattr(tty, &before) < 0) {
        if (tty >= 0)
            close(tty);
        return ERR_NOTFOUND;
    }
    struct termios silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
    silent.c_cc[VMIN] = 1;
    silent.c_cc[VTIME] = 0;
    /* Silent before it asks: who answers at once is neither shown nor lost. */
    int r = tcsetattr(tty, TCSAFLUSH, &silent) < 0 ? err_from_errno(errno) : 0;
    if (r == 0) {
        r = say(tty, prompt);
        if (r == 0)
            r = read_line(tty, text, size);
        tcsetattr(tty, TCSAFLUSH, &before);
        (void)say(tty, "\n");
    }
    close(tty);
    return r;
}
