package manifest

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path/filepath"
	"time"
)

// watchPoll is how often files are looked at: soon enough for who saves one and
// looks at the page.
const watchPoll = 200 * time.Millisecond

// Watch remembers how the files are, and those below the directories, and
// returns a function that waits until any has come, gone or been written since
// its last return. It is false when the context has ended.
func Watch(paths []string) func(context.Context) bool {
	seen := state(paths)
	return func(ctx context.Context) bool {
		tick := time.NewTicker(watchPoll)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return false
			}
			if now := state(paths); now != seen {
				seen = now
				return true
			}
		}
	}
}

// state is a sum over names, sizes and times. What cannot be read is not there:
// to say so is for who loads it.
func state(paths []string) uint64 {
	sum := fnv.New64a()
	for _, path := range paths {
		_ = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return nil
			}
			if info, err := entry.Info(); err == nil {
				fmt.Fprintf(sum, "%s|%d|%d\n", name, info.Size(), info.ModTime().UnixNano())
			}
			return nil
		})
	}
	return sum.Sum64()
}
