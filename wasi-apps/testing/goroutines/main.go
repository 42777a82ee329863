// goroutines PART: Go's runtime on WASI, which has one thread and waits in poll_oneoff. One line for each step.
package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

func say(parts ...string) {
	for _, part := range parts {
		os.Stdout.WriteString(part)
	}
	os.Stdout.WriteString("\n")
}

func number(value int) string {
	if value < 10 {
		return string(rune('0' + value))
	}
	return number(value/10) + string(rune('0'+value%10))
}

func yes(value bool) string {
	if value {
		return "yes"
	}
	return "no"
}

func told(err error) string {
	switch {
	case err == nil:
		return "fine"
	case errors.Is(err, fs.ErrNotExist):
		return "not there"
	case errors.Is(err, fs.ErrExist):
		return "there already"
	case errors.Is(err, fs.ErrPermission):
		return "not permitted"
	}
	return err.Error()
}

// Sleepers wake in the order of their times, whatever the order they began in.
func sleep() {
	var all sync.WaitGroup
	woken := make(chan int, 10)
	began := time.Now()
	for _, rank := range []int{3, 1, 4, 2} {
		all.Add(1)
		go func() {
			defer all.Done()
			time.Sleep(time.Duration(rank) * 60 * time.Millisecond)
			woken <- rank
		}()
	}
	all.Wait()
	for range 4 {
		say("woken ", number(<-woken))
	}
	say("long enough ", yes(time.Since(began) >= 240*time.Millisecond))
}

func channels() {
	numbers, sum := make(chan int), make(chan int)
	for range 10 {
		go func() {
			total := 0
			for value := range numbers {
				total += value
			}
			sum <- total
		}()
	}
	for value := range 1001 {
		numbers <- value
	}
	close(numbers)
	total := 0
	for range 10 {
		total += <-sum
	}
	say("sum ", number(total))
	select {
	case <-sum:
		say("nobody writes")
	case <-time.After(20 * time.Millisecond):
		say("timed out")
	}
	ticker, ticks := time.NewTicker(5*time.Millisecond), 0
	for range ticker.C {
		if ticks++; ticks == 5 {
			break
		}
	}
	say("ticks ", number(ticks))
}

func files() {
	say("mkdir ", told(os.MkdirAll("/a/b/c", 0o755)))
	say("write ", told(os.WriteFile("/a/b/f", []byte("hello"), 0o644)))
	say("mkdir again ", told(os.Mkdir("/a", 0o755)))
	say("open ", told(second(os.Open("/none"))))
	say("symlink ", told(os.Symlink("b/f", "/a/l")))
	target, err := os.Readlink("/a/l")
	say("readlink ", target, " ", told(err))
	data, err := os.ReadFile("/a/l")
	say("read ", string(data), " ", told(err))
	info, err := os.Lstat("/a/l")
	say("lstat ", yes(info.Mode()&fs.ModeSymlink != 0), " ", told(err))
	then := time.Unix(1234567890, 123456789)
	say("chtimes ", told(os.Chtimes("/a/b/f", then, then)))
	info, _ = os.Stat("/a/l")
	say("stat ", yes(info.ModTime().Equal(then)), " ", number(int(info.Size())))
	say("rename ", told(os.Rename("/a/b", "/a/d")))
	filepath.WalkDir("/", func(path string, entry fs.DirEntry, err error) error {
		say("  ", path, " ", entry.Type().String(), " ", told(err))
		return nil
	})
	file, _ := os.OpenFile("/a/d/f", os.O_APPEND|os.O_RDWR, 0)
	file.WriteString(" again")
	file.Seek(0, io.SeekStart)
	data, err = io.ReadAll(file)
	say("append ", string(data), " ", told(err))
	say("truncate ", told(file.Truncate(3)))
	info, _ = file.Stat()
	say("size ", number(int(info.Size())))
	say("remove ", yes(os.Remove("/a") != nil), " ", told(os.RemoveAll("/a")))
	left, err := os.ReadDir("/")
	say("left ", number(len(left)), " ", told(err))
	file, err = os.CreateTemp("/", "x")
	say("temporary ", told(err), " ", yes(file != nil))
	directory, err := os.Getwd()
	say("directory ", directory, " ", told(err))
}

func second[T any](_ T, err error) error { return err }

func main() {
	switch os.Args[1] {
	case "sleep":
		sleep()
	case "channels":
		channels()
	case "files":
		files()
	case "stdin":
		data, err := io.ReadAll(os.Stdin)
		say("read ", number(len(data)), " ", told(err))
	case "panic":
		panic("at the disco")
	case "deadlock":
		<-make(chan int)
	case "exit":
		defer say("never said")
		os.Exit(200)
	}
}
