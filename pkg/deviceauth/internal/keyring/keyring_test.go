// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// deaf never answers before its time.
type deaf struct{ after time.Duration }

func (d deaf) Get(string) (string, error) { time.Sleep(d.after); return "secret", nil }
func (d deaf) Set(string, string) error   { time.Sleep(d.after); return nil }
func (d deaf) Delete(string) error        { time.Sleep(d.after); return nil }

func TestASilentKeyringIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		k := Bounded(deaf{time.Hour})
		if _, err := k.Get("x"); !errors.Is(err, ErrUnavailable) || time.Since(began) != Patience {
			t.Error(err, time.Since(began))
		}
		if err := k.Set("x", "y"); !errors.Is(err, ErrUnavailable) || time.Since(began) != Patience {
			t.Error(err, time.Since(began))
		}
		if err := k.Delete("x"); !errors.Is(err, ErrUnavailable) || time.Since(began) != Patience {
			t.Error(err, time.Since(began))
		}
		if secret, err := Bounded(deaf{Patience / 2}).Get("x"); err != nil || secret != "secret" {
			t.Error(err)
		}
		time.Sleep(2 * time.Hour)
	})
}

// The library would start a bus by dbus-launch, and leave it running.
func TestNoBusIsStarted(t *testing.T) {
	dir := t.TempDir()
	if hasBus("", dir) || hasBus("autolaunch:", dir) || hasBus("autolaunch:scope=.x", dir) {
		t.Error("a bus is seen where there is none")
	}
	if !hasBus("unix:path=/x", dir) {
		t.Error("the bus of the environment is not seen")
	}
	if err := os.WriteFile(filepath.Join(dir, "bus"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !hasBus("", dir) {
		t.Error("the bus of the session is not seen")
	}
}
