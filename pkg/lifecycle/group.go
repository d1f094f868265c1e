// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
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

func call(ctx context.Context, w Worker) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return w.Run(ctx)
}
