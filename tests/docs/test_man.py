#!/usr/bin/python3
"""usage: test_man.py STILE MAN_DIR

What `stile help` tells and what the man page tells agree: the same commands, and the same options of each.
"""

import os
import re
import subprocess
import sys
import tempfile

TOGETHER = {"home", "verbose", "log-format", "help", "json"}


def helped(stile, *words):
    return subprocess.run([stile, "help", *words], check=True, capture_output=True, text=True).stdout


def commands_in_help(stile):
    return re.findall(r"^  stile ((?:[a-z]+ )*[a-z]+)  ", helped(stile), re.MULTILINE)


def options_in_help(stile, command):
    text = helped(stile, *command.split())
    return set(re.findall(r"^ +(?:-\w, )?--([a-z0-9-]+)", text, re.MULTILINE)) - TOGETHER


def options_in_man(lines):
    found = set()
    for line in lines:
        if line.startswith(".It Fl"):
            found.update(re.findall(r"Fl -([a-z0-9-]+)", line))
    return found


def commands_in_man(path):
    """Name of each command: the options that its section lists. A section that speaks of POLICY OPTIONS has those too."""
    sections, name = {}, None
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith(".Ss stile ") and line.rstrip() != ".Ss stile policy COMMAND":
                name = re.match(r"\.Ss stile ((?:[a-z]+(?: |$))+)", line.rstrip()).group(1).strip()
                sections[name] = []
            elif line.startswith(".Sh"):
                name = None
            elif name is not None:
                sections[name].append(line.rstrip())
    found = {name: options_in_man(lines) for name, lines in sections.items()}
    for name, lines in sections.items():
        if any("POLICY OPTIONS" in line for line in lines):
            found[name] |= policy_options_in_man(path)
    return found


def policy_options_in_man(path):
    with open(path, encoding="utf-8") as file:
        return options_in_man(file.read().split(".Sh POLICY OPTIONS", 1)[1].split(".Sh", 1)[0].splitlines())


def shared_in_man(path):
    with open(path, encoding="utf-8") as file:
        return options_in_man(file.read().split(".Ss", 1)[0].splitlines())


def first_example(path, section="EXAMPLES"):
    with open(path, encoding="utf-8") as file:
        return file.read().split(".Sh " + section, 1)[1].split(".Bd", 1)[1].split("\n", 1)[1].split(".Ed", 1)[0]


def policy_problems(stile, path):
    """The same of the broker's."""
    with tempfile.TemporaryDirectory() as directory:
        config = os.path.join(directory, "broker.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(first_example(path))
        os.chmod(config, 0o644)
        done = subprocess.run([stile, "broker", "check", "--config", config], capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()


def example_problems(stile, path):
    """What the program finds wrong with the first example of the configuration's page."""
    example = first_example(path)
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([stile, "gateway", "init", directory, "--name", "corp"], capture_output=True, check=True)
        config = os.path.join(directory, "gateway.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(example)
        done = subprocess.run([stile, "gateway", "check", "--config", config], capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()


def policies_problems(stile, path):
    """The same of the policies'."""
    text = first_example(path, "FILES")
    done = subprocess.run([stile, "policy", "validate", "--system", "linux", "--file", "-"], input=text, capture_output=True,
                          text=True, check=False)
    return [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()


def commands_in_documents(root):
    """Each command line of `stile policy` in README, docs and the man page of policies: the file, the command, its options."""
    documents = [os.path.join(root, "README.md")]
    for directory, _, names in os.walk(os.path.join(root, "docs")):
        documents += [os.path.join(directory, name) for name in names if name.endswith((".md", "stile-policy.1"))]
    for path in sorted(documents):
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"\\e?\n\s*", "", file.read())
        for command, rest in re.findall(r"stile policy ([a-z]+)\b([^\n`|]*)", text):
            yield os.path.basename(path), command, re.findall(r"(?<!\S)--([a-z-]+)", rest)


def documents_problems(stile, root):
    wrong, seen = [], 0
    for document, command, options in commands_in_documents(root):
        known = options_in_help(stile, f"policy {command}") | TOGETHER if options else set()
        wrong += [f"{document}: stile policy {command} has no --{o}" for o in options if o not in known]
        seen += len(options)
    return wrong if seen > 20 else wrong + [f"only {seen} options are in documents"]


def report(number, name, wrong):
    print(f"{'not ok' if wrong else 'ok'} {number} - {name}")
    for line in wrong:
        print(f"#   {line}")
    return bool(wrong)


def main(stile, man_dir):
    page = os.path.join(man_dir, "stile.1")
    policy_page = os.path.join(man_dir, "stile-policy.1")
    documented = commands_in_man(page) | commands_in_man(policy_page)
    known = commands_in_help(stile)
    wrong_commands = [f"{c}: only in help" for c in known if c not in documented]
    wrong_commands += [f"{c}: only in the man page" for c in documented if c not in known]
    wrong_options = []
    for command in set(known) & set(documented):
        helped_options = options_in_help(stile, command)
        wrong_options += [f"{command} --{o}: only in help" for o in helped_options - documented[command]]
        wrong_options += [f"{command} --{o}: only in the man page" for o in documented[command] - helped_options]
    shared = shared_in_man(page) ^ TOGETHER
    print("1..7")
    failed = report(1, "man page and help have the same commands", wrong_commands)
    failed |= report(2, "man page and help have the same options of each command", sorted(wrong_options))
    failed |= report(3, "man page has the options of every command", sorted(shared))
    failed |= report(4, "the example of the configuration's man page is good",
                     example_problems(stile, os.path.join(man_dir, "stile-gateway.5")))
    failed |= report(5, "the example of the broker's man page is good",
                     policy_problems(stile, os.path.join(man_dir, "stile-broker.8")))
    failed |= report(6, "the example of a file of policies is good", policies_problems(stile, policy_page))
    failed |= report(7, "what documents tell to type has options that there are", documents_problems(stile, os.path.join(man_dir, "..", "..")))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
