#!/usr/bin/python3
"""usage: test_library.py SOURCE_ROOT BUILD_ROOT

libstile-policy as it is installed: what it exports and what it calls, its header in C and C++, its pkg-config file, its man page, and
the example, built against all that and run in a network namespace.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE, BUILD = (os.path.abspath(path) for path in sys.argv[1:3])
# Calls that end the process, write to its outputs, or change it for all of its threads. Of these the library has none…
NEVER = {"exit", "abort", "quick_exit", "printf", "__printf_chk", "vprintf", "__vprintf_chk", "fprintf", "__fprintf_chk",
         "vfprintf", "__vfprintf_chk", "dprintf", "__dprintf_chk", "puts", "putchar", "fputs", "fputc", "fwrite", "perror", "syslog",
         "__syslog_chk", "stdout", "stderr", "setlocale", "setenv", "putenv", "unsetenv", "umask", "strtok", "getpwnam",
         "getgrnam", "localtime", "strtod", "localeconv", "setvbuf", "system", "popen", "atexit", "raise", "uv_default_loop", "uv_replace_allocator",
         "uv_signal_start", "json_set_alloc_funcs", "json_object_seed"}
# …and these only in these sources: where they run in a child that is about to become another program, or check the code itself.
ONLY_IN = {"_exit": {"nft_process.c", "unseen.c", "program.c", "namespace.c"}, "signal": {"program.c"}, "sigaction": {"unseen.c"},
           "chdir": {"nft_process.c", "program.c"}, "__assert_fail": {"buf.c"}}


class Failed(Exception):
    pass


def run(*argv, **how):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **how)
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
    return done.stdout


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


def declared():
    text = re.sub(r"/\*.*?\*/", "", read("include/stile/policy.h"), flags=re.DOTALL)
    return set(re.findall(r"\b(stile_\w+)\(", text))


def symbols(path, *options):
    return {line.split()[-1].split("@")[0] for line in run("nm", "-D", *options, path).splitlines()}


def equal(what, a, b):
    if a != b:
        raise Failed(f"{what}: {sorted(a ^ b)}")


class Installed:
    def __init__(self, root):
        self.root = root
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--tags", "devel,runtime", "--destdir", root)
        prefix = os.path.join(root, "usr/local")
        self.library = [os.path.join(folder, name) for folder, _, names in os.walk(prefix) for name in names
                        if name == "libstile-policy.so"][0]
        self.folder = os.path.dirname(self.library)
        self.env = {**os.environ, "PKG_CONFIG_LIBDIR": os.path.join(self.folder, "pkgconfig"),
                    "PKG_CONFIG_SYSROOT_DIR": root}

    def flags(self, *options):
        return run("pkg-config", *options, "libstile-policy", env=self.env).split()

    def build(self, source, out, *more):
        sanitizers = ["-fsanitize=address,undefined"] if os.environ.get("SANITIZED") else []
        run("cc", "-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", source, "-o", out, *self.flags("--cflags", "--libs"),
            *more, *sanitizers, f"-Wl,-rpath,{self.folder}")


def it_exports_what_the_header_declares(it):
    equal("exported and declared differ", symbols(it.library, "--defined-only") - {"STILE_POLICY_0"}, declared())
    for name in ("libstile-policy.map", "libstile-policy.def"):
        equal(f"{name} and the header differ", set(re.findall(r"\b(stile_[a-z_]+)\b", read("src/policy", name))), declared())


def its_soname_says_which_programs_it_serves(it):
    text = run("readelf", "-d", it.library)
    if "libstile-policy.so.0]" not in text or re.search(r"RPATH|RUNPATH|TEXTREL", text):
        raise Failed(text)


def it_neither_ends_the_process_nor_prints_nor_changes_it(it):
    if os.environ.get("SANITIZED"):
        return  # the sanitizers' own calls are in it
    called = symbols(it.library, "--undefined-only")
    if called & NEVER:
        raise Failed(f"it calls {sorted(called & NEVER)}")
    for name in called & set(ONLY_IN):
        callers = callers_of(name)
        if not callers or callers - ONLY_IN[name]:
            raise Failed(f"{name} is called in {sorted(callers)}")


def it_reads_numbers_in_every_locale(it):
    with tempfile.TemporaryDirectory() as folder:
        # Made here: which locales a host has is its own affair.
        made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", os.path.join(folder, "de_DE.UTF-8")],
                              capture_output=True, text=True, check=False)
        if made.returncode != 0:
            print("  not run: no locale with a comma can be made (package locales)")
            return
        text = run(os.path.join(BUILD, "tests/unit/test_json_text"),
                   env={**os.environ, "LOCPATH": folder, "CMOCKA_MESSAGE_OUTPUT": "TAP"})
        if not re.search(r"^ok \d+ - test_numbers_are_the_same_in_every_locale$", text, re.MULTILINE):
            raise Failed(text)


def callers_of(name):
    """Sources in the library that call this function."""
    inside = set(re.findall(r"\bFILE .* ((?:linux_)?\w+\.c)$", run("readelf", "-sW", os.path.join(BUILD, "src/policy/libstile-policy.so")),
                            re.MULTILINE))
    callers = set()
    for module in ("policy", "rpc", "loop", "net", "base", "netcfg", "platform"):
        for line in run("nm", "-A", "--undefined-only", os.path.join(BUILD, f"src/{module}/lib{module}.a")).splitlines():
            place, symbol = line.rsplit(" ", 1)
            source = os.path.basename(place.split(":")[1])[:-len(".o")]
            if symbol == name and source in inside:
                callers.add(source)
    return callers


def the_header_is_c_and_cxx_by_itself(it):
    with tempfile.NamedTemporaryFile("w", suffix=".h") as file:
        file.write("#include <stile/policy.h>\nstruct stile_policy_error error_of_mine;\n")
        file.flush()
        for compiler, language, standard in (("cc", "c", "c99"), ("cc", "c", "c17"), ("c++", "c++", "c++11"), ("c++", "c++", "c++17")):
            if shutil.which(compiler):
                run(compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only",
                    *it.flags("--cflags"), file.name)


def its_man_page_names_every_function_and_code(it):
    page = read("docs/man/libstile-policy.3")
    header = read("include/stile/policy.h")
    equal("functions", set(re.findall(r"^\.F[no] (stile_\w+)", page.split(".Sh DESCRIPTION")[0], re.MULTILINE)), declared())
    codes = set(re.findall(r"^    (STILE_POLICY_E[A-Z]+) =", header, re.MULTILINE))
    equal("codes", set(re.findall(r"\bSTILE_POLICY_E[A-Z]+", page.split(".Sh ERRORS")[1])), codes)


def the_man_pages_example_compiles(it):
    text = read("docs/man/libstile-policy.3").split(".Bd -literal\n")[1].split(".Ed")[0].replace("\\e", "\\")
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "example.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        it.build(source, os.path.join(folder, "example"))


IN_NAMESPACE = r"""
set -e
mount -t tmpfs none /run
ip netns add blue
"$1" add blue 8000 1337
"$1" add blue 8000 1337
"$1" list blue
ip netns exec blue nft list tables
"$1" clear blue
"$1" list blue
ip netns exec blue nft list tables
! "$1" find 0123456789ab
! "$1" list nowhere
! "$1" add blue 90001 1337
! "$1" add /proc/1/ns/net 8000 1337
! "$1"
"""
EXPECTED = """1 added; the endpoint has 1
0 added; the endpoint has 1
inbound and outbound TCP to port 8000, not of uid 1337
[{"Type":"L4WFPPROXY","Settings":{"InboundProxyPort":"8000","OutboundProxyPort":"8000","FilterTuple":{"Protocols":"6"},"UserID":"1337"}}]
table inet stile_policy
[]
"""
ERRORS = ["(STILE_POLICY_ENOTFOUND)", "(STILE_POLICY_ENOTFOUND)", "(STILE_POLICY_EFORMAT)", "(STILE_POLICY_EDENIED)",
          "(STILE_POLICY_EINVAL)"]


def the_example_finds_adds_lists_and_clears(it):
    with tempfile.TemporaryDirectory() as folder:
        example = os.path.join(folder, "policy")
        it.build(os.path.join(SOURCE, "examples/policy.c"), example)
        if os.geteuid() != 0:
            print("  not run: it needs root")
            return
        done = subprocess.run(["unshare", "-m", "-n", "-p", "-f", "--mount-proc", "sh", "-c", IN_NAMESPACE, "sh", example],
                              capture_output=True, text=True, check=False)
        if done.stdout != EXPECTED or done.returncode != 0:
            raise Failed(f"{done.returncode}: {done.stdout}{done.stderr}")
        equal("errors", *({f"{n} {line}" for n, line in enumerate(lines)}
                          for lines in ([line.split()[-1] for line in done.stderr.splitlines()], ERRORS)))


def with_less_and_less_memory_it_says_so_and_lives(it):
    if os.environ.get("SANITIZED"):
        return  # its allocator is the sanitizer's
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "little_memory")
        it.build(os.path.join(SOURCE, "tests/library/little_memory.c"), program, "-D_GNU_SOURCE", "-lpthread")
        words = run(program, os.path.join(folder, "runtime.sock")).split()
        if int(words[0]) < 100:
            raise Failed(" ".join(words))


def main():
    tests = [f for f in globals().values() if callable(f) and getattr(f, "__code__", None) and f.__code__.co_varnames[:1] == ("it",)]
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        it = Installed(root)
        for test in tests:
            try:
                test(it)
                print(f"ok {test.__name__}")
            except Failed as e:
                failed += 1
                print(f"FAILED {test.__name__}: {e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
