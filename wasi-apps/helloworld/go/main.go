// The hello world of wasi-apps in Go: shows arguments and environment, then does what the arguments say.
// The commands are described in ../README.md; the Rust and C versions behave the same. Standard library only,
// and no fmt: it adds a third of a megabyte.
package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

// failure ends the program early: a message for stderr and the exit code that goes with it.
type failure struct {
	message string
	code    int
}

func (f failure) Error() string { return f.message }

func usage(message string) error {
	return failure{message, 2}
}

func cannot(verb, path string, err error) error {
	return failure{"cannot " + verb + " " + path + ": " + reason(err), 1}
}

// reason uses the same words in every language, by the numbers of WASI preview 1's errno.
func reason(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	switch errno {
	case 44:
		return "no such file or directory"
	case 31:
		return "is a directory"
	case 54:
		return "not a directory"
	case 8:
		return "not a file" // a directory opens, but does not read
	case 2, 63, 76:
		return "not permitted"
	}
	return "errno " + strconv.Itoa(int(errno))
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	code, err := run(out)
	if flushed := out.Flush(); err == nil && flushed != nil {
		err = cannot("write", "stdout", flushed)
	}
	var ended failure
	if errors.As(err, &ended) {
		os.Stderr.WriteString("helloworld: " + ended.message + "\n")
		code = ended.code
	}
	os.Exit(code)
}

func run(out *bufio.Writer) (int, error) {
	introduce(out)
	for index := 1; index < len(os.Args); index++ {
		name, value, _ := strings.Cut(os.Args[index], ":")
		var err error
		switch {
		case os.Args[index] == "stdin":
			err = printFrom(out, os.Stdin, "copy", "stdin")
		case !strings.Contains(os.Args[index], ":"):
			continue
		case name == "ls":
			err = list(out, value)
		case name == "cat":
			err = printFile(out, value)
		case name == "write":
			if index++; index == len(os.Args) {
				return 0, usage("write:" + value + " needs a TEXT after it")
			}
			err = write(out, value, os.Args[index])
		case name == "exit":
			return exitCode(value)
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func introduce(out *bufio.Writer) {
	out.WriteString("Hello from Go!\n")
	for index, arg := range os.Args {
		out.WriteString("arg " + strconv.Itoa(index) + ": " + arg + "\n")
	}
	for _, variable := range os.Environ() {
		out.WriteString("env " + variable + "\n")
	}
}

// list prints one name a line, sorted by bytes because hosts differ in their order; directories end in a slash.
func list(out *bufio.Writer, path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return cannot("list", path, err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		out.WriteString(name + "\n")
	}
	return nil
}

func printFile(out *bufio.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return cannot("read", path, err)
	}
	defer file.Close()
	return printFrom(out, file, "read", path)
}

func printFrom(out *bufio.Writer, from io.Reader, verb, path string) error {
	if _, err := io.Copy(out, from); err != nil {
		return cannot(verb, path, err)
	}
	return nil
}

func write(out *bufio.Writer, path, text string) error {
	line := text + "\n"
	if err := os.WriteFile(path, []byte(line), 0o644); err != nil {
		return cannot("write", path, err)
	}
	out.WriteString("wrote " + strconv.Itoa(len(line)) + " bytes to " + path + "\n")
	return nil
}

func exitCode(number string) (int, error) {
	code, err := strconv.ParseUint(number, 10, 8)
	if err != nil {
		return 0, usage("exit:" + number + " needs a number from 0 to 255")
	}
	return int(code), nil
}
