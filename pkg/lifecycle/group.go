// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Worker runs until ctx ends. A nil return before that is a normal end.
type Worker struct {
	Name string
	Run  func(ctx context.Context) error
}

// Run starts every worker and waits for all of them. The first failure stops the
// others and is what Run returns; an end of ctx is no failure. A panic in a worker
// is its failure, for recover elsewhere does not cover goroutines.
func Run(ctx context.Context, workers ...Worker) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	for _, w := range workers {
		wg.Go(func() {
			err := call(ctx, w)
			if err != nil && !errors.Is(err, context.Canceled) {
				once.Do(func() { first = fmt.Errorf("%s: %w", w.Name, err) })
				cancel()
			}
		})
	}
	wg.Wait()
	return first
}

// PanicError is how a worker ended that panicked.
type PanicError struct {
	Value any
	Stack []byte
}

// Error gives the value and the stack, for the log alone.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Surviving gives a worker that outlives its panics: each is reported, and after a
// pause the worker starts anew, so that it also gets to what it does when ctx ends.
// One bad row must not end the service that a request with the same row would leave
// standing. A panic after ctx has ended is the worker's failure.
func Surviving(w Worker, pause time.Duration, report func(worker string, panicked *PanicError)) Worker {
	return Worker{Name: w.Name, Run: func(ctx context.Context) error {
		for {
			err := call(ctx, w)
			panicked, ok := errors.AsType[*PanicError](err)
			if !ok {
				return err
			}
			report(w.Name, panicked)
			if ctx.Err() != nil {
				return err
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}}
}

func call(ctx context.Context, w Worker) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return w.Run(ctx)
}
