// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	library "github.com/zalando/go-keyring"
)

// service is under what the items are filed, as a person sees it in the keyring's own
// program.
const service = "difyauth"

// System is the keyring of this session.
func System() Keyring {
	if runtime.GOOS != "darwin" && runtime.GOOS != "windows" && !hasBus(os.Getenv("DBUS_SESSION_BUS_ADDRESS"), filepath.Join("/run/user", strconv.Itoa(os.Getuid()))) {
		return None{}
	}
	return Bounded(system{})
}

// hasBus tells whether a session bus is there already. The library would start one of its
// own, that nobody ends, and find no keyring on it.
func hasBus(address, runtimeDir string) bool {
	if address != "" {
		return !strings.HasPrefix(address, "autolaunch:")
	}
	for _, name := range []string{"bus", "dbus-session"} {
		if _, err := os.Stat(filepath.Join(runtimeDir, name)); err == nil {
			return true
		}
	}
	return false
}

type system struct{}

// Get implements Keyring.
func (system) Get(item string) (string, error) {
	secret, err := library.Get(service, item)
	return secret, judge(err)
}

// Set implements Keyring.
func (system) Set(item, secret string) error { return judge(library.Set(service, item, secret)) }

// Delete implements Keyring.
func (system) Delete(item string) error { return judge(library.Delete(service, item)) }

func judge(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, library.ErrNotFound):
		return ErrAbsent
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
