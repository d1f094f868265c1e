// SPDX-License-Identifier: Apache-2.0

// Package runtimetest is a runtime that speaks Dify's Service API and misbehaves as it is
// told. Only tests use it.
//
//	rt := runtimetest.New(t, "app-key")
//	rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Begin(), runtimetest.Event(`{"event":"message","task_id":"{task}"}`), runtimetest.Cut()})
//	...
//	call := rt.Wait(t, runtimetest.Chat, 1)[0]
//	<-call.Dropped() // the client has closed its connection
//
// A route without a script answers as a healthy runtime does.
package runtimetest
