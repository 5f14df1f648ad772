package manifest

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// watchPoll is the time between two looks at the files.
const watchPoll = 200 * time.Millisecond

// Watch returns a function that waits until one of the files, or a file below
// one of the directories, has been created, written or removed since it last
// returned. It returns false when the context has ended.
func Watch(paths []string) func(context.Context) bool {
	seen := state(paths)
	return func(ctx context.Context) bool {
		for {
			select {
			case <-time.After(watchPoll):
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

// state returns a checksum of names, sizes and times. It follows symbolic links, as Load does. It ignores files
// that cannot be read: Load returns that error.
func state(paths []string) uint64 {
	sum := fnv.New64a()
	for _, path := range paths {
		root, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue
		}
		_ = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return nil
			}
			if info, err := os.Stat(name); err == nil {
				fmt.Fprintf(sum, "%s|%d|%d\n", name, info.Size(), info.ModTime().UnixNano())
			}
			return nil
		})
	}
	return sum.Sum64()
}
