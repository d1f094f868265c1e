// SPDX-License-Identifier: Apache-2.0

package deviceauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
)

// A server where somebody allows the sign-in at once, or refuses.
func exampleServer(refuse bool) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /openapi/v1/oauth/device/code", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"device_code":"dc_secret","user_code":"WDJB-MJHT","verification_uri":"https://sso.example.com/device","expires_in":900,"interval":5}`)
	})
	mux.HandleFunc("POST /openapi/v1/oauth/device/token", func(w http.ResponseWriter, _ *http.Request) {
		if refuse {
			http.Error(w, `{"error":"access_denied"}`, http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"dfoa_secret","token_type":"Bearer","expires_in":1209600,"account":{"id":"1","email":"ada@example.com","name":"Ada"}}`)
	})
	mux.HandleFunc("GET /openapi/v1/account", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer dfoa_secret" {
			http.Error(w, `{"code":"invalid_token","message":"no","status":401}`, http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"account":{"name":"Ada"}}`)
	})
	return httptest.NewServer(mux)
}

// A whole sign-in: ask for a code, show it, wait for the person.
func Example() {
	server := exampleServer(false)
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	client := &deviceauth.Client{Host: server.URL, ClientID: "difyauth"}
	auth, err := client.Start(ctx, "Ada's laptop")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\nType it at %s\n", auth.UserCode, auth.VerificationURI)
	token, err := client.Wait(ctx, auth)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("Signed in as", token.Email)
	fmt.Println("The token does not print itself:", token.Access)
	// Output:
	// WDJB-MJHT
	// Type it at https://sso.example.com/device
	// Signed in as ada@example.com
	// The token does not print itself: [redacted]
}

// Each way in which a sign-in ends has a sentinel, and each deserves another next step.
func ExampleClient_Wait() {
	server := exampleServer(true)
	defer server.Close()

	client := &deviceauth.Client{
		Host: server.URL, ClientID: "difyauth",
		OnRetry: func(err error, wait time.Duration) { fmt.Printf("%v; trying again in %s\n", err, wait) },
	}
	ctx := context.Background()
	auth, err := client.Start(ctx, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Wait(ctx, auth)
	switch {
	case errors.Is(err, deviceauth.ErrAccessDenied):
		fmt.Println("Somebody refused it.")
	case errors.Is(err, deviceauth.ErrExpired):
		fmt.Println("Nobody allowed it in time.")
	case errors.Is(err, deviceauth.ErrUnreachable):
		fmt.Println("The server cannot be reached.")
	}
	// Output: Somebody refused it.
}

// A program with a loop of its own polls by Token and keeps the interval itself.
func ExampleClient_Token() {
	server := exampleServer(false)
	defer server.Close()

	ctx := context.Background()
	client := &deviceauth.Client{Host: server.URL, ClientID: "difyauth"}
	auth, err := client.Start(ctx, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		token, err := client.Token(ctx, auth)
		if errors.Is(err, deviceauth.ErrPending) || errors.Is(err, deviceauth.ErrSlowDown) {
			time.Sleep(auth.Interval)
			continue
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(token.Account.Name)
		return
	}
	// Output: Ada
}

// The token of a sign-in calls the server's API, and is sent nowhere else.
func ExampleClient_Authorized() {
	server := exampleServer(false)
	defer server.Close()

	client := &deviceauth.Client{Host: server.URL, ClientID: "difyauth"}
	api, err := client.Authorized(deviceauth.NewSecret("dfoa_secret"))
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := api.Get(server.URL + deviceauth.BasePath + "/account")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = res.Body.Close() }()
	fmt.Println(res.StatusCode)
	_, err = api.Get("http://127.0.0.1:1/")
	fmt.Println(errors.Is(err, deviceauth.ErrOtherHost))
	// Output:
	// 200
	// true
}
