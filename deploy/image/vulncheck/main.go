// SPDX-License-Identifier: Apache-2.0

// Command vulncheck asks govulncheck about the programs that are given away. Its database is
// the one of the Go project, fetched as the module that it is, with a supplement of what the
// database does not know yet. It prints the database's date, and an old one is a failure.
package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// govulncheck is pinned; its database is not, for an old one is of no use.
const govulncheck = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"

// oldest is how old a database may be.
const oldest = 30 * 24 * time.Hour

//go:embed supplement/*.json
var supplement embed.FS

// programs are what is given away, by module and package below it.
var programs = [][2]string{{"core", "./cmd/core"}, {"sso-bridge", "./cmd/sso-bridge"}, {"pkg/deviceauth", "./cmd/difyauth"}}

func main() {
	db := flag.String("db", "", "a folder of OSV files; empty fetches the newest")
	date := flag.String("date", "", "the day of -db, 2006-01-02")
	flag.Parse()
	if err := run(*db, *date); err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(1)
	}
}

func run(db, date string) error {
	day, err := time.Parse(time.DateOnly, date)
	if db == "" {
		db, day, err = fetch()
	}
	if err != nil {
		return fmt.Errorf("the database of vulnerabilities (-db and -date name another): %w", err)
	}
	whole, entries, err := join(db)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(whole) }()
	fmt.Printf("database of %s, %d entries\n", day.Format(time.DateOnly), entries)
	if err := fresh(day, time.Now()); err != nil {
		return err
	}
	var findings []finding
	for _, p := range programs {
		// It wants to stand in a module; the workspace counts there too.
		cmd := exec.Command("go", "run", govulncheck, "-format", "json", "-tags", "nethttpomithttp2", "-db", "file://"+whole, p[1]) //nolint:gosec // a pinned tool on our own packages
		cmd.Dir = p[0]
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("govulncheck of %s: %w", p[0], err)
		}
		some, err := read(bytes.NewReader(out))
		if err != nil {
			return err
		}
		findings = append(findings, some...)
	}
	tests, err := namedTests(".")
	if err != nil {
		return err
	}
	said, problems := judge(findings, exceptions, tests)
	for _, line := range said {
		fmt.Println(line)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s", strings.Join(problems, "\n"))
	}
	fmt.Println("nothing that has no answer")
	return nil
}

var pseudo = regexp.MustCompile(`-(\d{14})-[0-9a-f]{12}$`)

// fetch gets the newest database by the go command and reads its date from the version.
func fetch() (db string, day time.Time, err error) {
	cmd := exec.Command("go", "mod", "download", "-json", "golang.org/x/vulndb@latest")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return "", day, fmt.Errorf("golang.org/x/vulndb: %w\n%s", err, out)
	}
	var m struct{ Dir, Version string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", day, err
	}
	stamp := pseudo.FindStringSubmatch(m.Version)
	if stamp == nil {
		return "", day, fmt.Errorf("golang.org/x/vulndb@%s does not say its date", m.Version)
	}
	day, err = time.Parse("20060102150405", stamp[1])
	return filepath.Join(m.Dir, "data", "osv"), day, err
}

// fresh refuses a database that has not seen the last month.
func fresh(day, now time.Time) error {
	if now.Sub(day) > oldest {
		return fmt.Errorf("the database is of %s, older than 30 days: what was found since is not in it", day.Format(time.DateOnly))
	}
	return nil
}

// join lays the database and the supplement into one folder, as govulncheck reads it.
func join(db string) (dir string, entries int, err error) {
	files, err := filepath.Glob(filepath.Join(db, "*.json"))
	if err != nil {
		return "", 0, err
	}
	if len(files) < 1000 {
		return "", 0, fmt.Errorf("%s holds %d entries: is it the folder data/osv?", db, len(files))
	}
	if dir, err = os.MkdirTemp("", "vulncheck-"); err != nil {
		return "", 0, err
	}
	for _, f := range files {
		if err := os.Symlink(f, filepath.Join(dir, filepath.Base(f))); err != nil {
			return "", 0, err
		}
	}
	more, err := supplement.ReadDir("supplement")
	if err != nil {
		return "", 0, err
	}
	for _, f := range more {
		content, err := supplement.ReadFile("supplement/" + f.Name())
		if err != nil {
			return "", 0, err
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name()), content, 0o600); err != nil {
			return "", 0, err
		}
	}
	return dir, len(files) + len(more), nil
}

// finding is one trace of govulncheck from a vulnerability to a program.
type finding struct {
	OSV   string `json:"osv"`
	Fixed string `json:"fixed_version"`
	Trace []struct {
		Module   string `json:"module"`
		Version  string `json:"version"`
		Package  string `json:"package"`
		Function string `json:"function"`
	} `json:"trace"`
}

// read takes the findings out of govulncheck's stream of messages.
func read(stream io.Reader) (all []finding, err error) {
	for d := json.NewDecoder(stream); ; {
		var m struct {
			Finding *finding `json:"finding"`
		}
		if err := d.Decode(&m); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("what govulncheck says: %w", err)
		}
		if m.Finding != nil && len(m.Finding.Trace) > 0 {
			all = append(all, *m.Finding)
		}
	}
}
