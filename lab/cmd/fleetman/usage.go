package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fleetman.example/lab/usage"
)

// exactly returns a check that there is one argument, of the given name.
func exactly(name string) cobra.PositionalArgs { return arguments(1, 1, "one "+name) }

// atMostOne allows one argument of the given name, or none.
func atMostOne(name string) cobra.PositionalArgs { return arguments(0, 1, "at most one "+name) }

// atLeastOne returns a check that there is an argument of the given name.
func atLeastOne(name string) cobra.PositionalArgs {
	return arguments(1, math.MaxInt, "one "+name+", or more")
}

func arguments(fewest, most int, must string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < fewest || len(args) > most {
			return usage.Errorf("%s: %d arguments: must be %s", cmd.CommandPath(), len(args), must)
		}
		return nil
	}
}

// mistakes are the errors of flags.
type mistakes []error

// must adds an error unless ok.
func (m *mistakes) must(ok bool, format string, args ...any) {
	if !ok {
		*m = append(*m, fmt.Errorf(format, args...))
	}
}

// checkRange returns an error unless the value of a flag is from a lowest to a highest one.
func checkRange(flag string, value, lowest, highest int) error {
	if value < lowest || value > highest {
		return fmt.Errorf("--%s %d: must be between %d and %d", flag, value, lowest, highest)
	}
	return nil
}

func checkPort(flag string, port int) error { return checkRange(flag, port, 0, 65535) }

// checkOutput returns an error unless the file of a flag, or of an argument, can be written at the end: it is no
// directory, and can be written, or made in a directory that exists.
func checkOutput(flag, file string) error {
	if file == "" && flag != "" {
		return nil
	}
	prefix := strings.TrimPrefix("--"+flag+" "+quoted(file), "-- ")
	info, err := os.Stat(file)
	switch {
	case err == nil && !info.IsDir():
		if err := syscall.Access(file, accessWrite); err != nil {
			return fmt.Errorf("%s: %w: must be a file that can be written", prefix, err)
		}
	case file == "" || err == nil || !isDir(filepath.Dir(file)):
		return fmt.Errorf("%s: must be a file in a directory that exists", prefix)
	default:
		return canMake(prefix, filepath.Dir(file))
	}
	return nil
}

// accessWrite is W_OK of access(2).
const accessWrite = 2

func isDir(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir()
}

// canMake returns an error unless files can be made in a directory. Only a file shows it: on a read-only file system, and
// on one such as /proc, the permissions allow it.
func canMake(prefix, dir string) error {
	file, err := os.CreateTemp(dir, ".fleetman-")
	if err != nil {
		return fmt.Errorf("%s: %w: must be in a directory that can be written", prefix, errors.Unwrap(err))
	}
	file.Close()
	return os.Remove(file.Name())
}

// checkNew returns an error unless a flag has no file, or one that can be made.
func checkNew(flag, file string) error {
	if file == "" {
		return nil
	}
	prefix := "--" + flag + " " + quoted(file)
	if _, err := os.Lstat(file); err == nil || !isDir(filepath.Dir(file)) {
		return fmt.Errorf("%s: must be a new file in a directory that exists", prefix)
	}
	return canMake(prefix, filepath.Dir(file))
}

// checkDir returns an error unless a flag has no directory, one in which files can be made, or one that can be made.
func checkDir(flag, dir string) error {
	if dir == "" {
		return nil
	}
	there := filepath.Clean(dir)
	for _, err := os.Stat(there); errors.Is(err, fs.ErrNotExist) && there != filepath.Dir(there); _, err = os.Stat(there) {
		there = filepath.Dir(there)
	}
	prefix := "--" + flag + " " + quoted(dir)
	if !isDir(there) {
		return fmt.Errorf("%s: must be a directory", prefix)
	}
	return canMake(prefix, there)
}

// checkBin returns an error unless --bin has no directory, or one that exists.
func checkBin(dir string) error {
	if info, err := os.Stat(dir); dir != "" && (err != nil || !info.IsDir()) {
		return fmt.Errorf("--bin %s: must be a directory of programs", quoted(dir))
	}
	return nil
}

// none checks that there are no arguments.
func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage.Errorf("%s: %q: must be without arguments", cmd.CommandPath(), args[0])
	}
	return nil
}

// subcommandsOnly makes a command print its help without arguments, and fail with
// one that is not a subcommand.
func subcommandsOnly(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknown(fmt.Sprintf("command %q", args[0]), cmd.SuggestionsFor(args[0]), cmd)
	}
}

// knownOnly makes cobra's help command fail with an unknown command.
func knownOnly(help *cobra.Command) {
	show := help.Run
	help.Run = nil
	help.RunE = func(cmd *cobra.Command, args []string) error {
		found, rest, err := cmd.Root().Find(args)
		if err == nil && len(rest) > 0 && found.HasSubCommands() {
			return unknown(fmt.Sprintf("command %q", rest[0]), found.SuggestionsFor(rest[0]), found)
		}
		show(cmd, args)
		return nil
	}
}

// unknown returns the error for an unknown command or flag.
func unknown(what string, suggested []string, cmd *cobra.Command) error {
	see := "; see"
	if len(suggested) > 0 {
		see = usage.DidYouMean(suggested) + " See"
	}
	return usage.Errorf("unknown %s%s %s --help%s", what, see, cmd.CommandPath(), wholeHint)
}

// flagError returns pflag's errors in the form of the project's own.
func flagError(cmd *cobra.Command, err error) error {
	missing, isMissing := errors.AsType[*pflag.NotExistError](err)
	invalid, isInvalid := errors.AsType[*pflag.InvalidValueError](err)
	switch {
	case isInvalid:
		return usage.Errorf("--%s %s: must be %s; see %s --help", invalid.GetFlag().Name, quoted(invalid.GetValue()), valid(invalid), cmd.CommandPath())
	case isMissing && missing.GetSpecifiedShortnames() == "":
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		suggested := usage.Suggest(missing.GetSpecifiedName(), known)
		for i, name := range suggested {
			suggested[i] = "--" + name
		}
		return unknown("flag --"+missing.GetSpecifiedName(), suggested, cmd)
	}
	return usage.Errorf("%w; see %s --help", err, cmd.CommandPath())
}

// quoted returns a value for an error: in quotes when it is empty or has spaces.
func quoted(value string) string {
	if value == "" || strings.ContainsAny(value, " \t\n") {
		return fmt.Sprintf("%q", value)
	}
	return value
}

// valid returns a description of the valid values of a flag.
func valid(invalid *pflag.InvalidValueError) string {
	switch invalid.GetFlag().Value.Type() {
	case "duration":
		return "a duration, such as 500ms or 1m30s"
	case "int":
		return "a whole number"
	case "uint64":
		return "a whole number, 0 or more"
	case "float64":
		return "a number"
	case "uint16":
		return "a port from 0 to 65535"
	case "bool":
		return "true or false"
	}
	return invalid.Unwrap().Error()
}
