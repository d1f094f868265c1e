// SPDX-License-Identifier: Apache-2.0

package serviceapi

import (
	"errors"
	"io"
	"testing"
	"time"
)

// gate is a file whose read waits.
type gate struct{ entered, open chan struct{} }

func (g gate) Read([]byte) (int, error) {
	close(g.entered)
	<-g.open
	return 0, io.ErrUnexpectedEOF
}

func TestNobodyReadsAFileAfterItsEnd(t *testing.T) {
	g := gate{make(chan struct{}), make(chan struct{})}
	s := &sending{from: g, taken: time.Hour, timer: time.NewTimer(time.Hour)}
	go func() { _, _ = s.Read(nil) }()
	<-g.entered
	ended := make(chan error)
	go func() { ended <- s.end() }()
	select {
	case err := <-ended:
		t.Fatal("it ended while the file was read, with ", err)
	default:
		close(g.open)
	}
	if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the file failed with %v", err)
	}
	if _, err := s.Read(nil); !errors.Is(err, errEnded) { // a second read of the gate would panic
		t.Error(err)
	}
}
