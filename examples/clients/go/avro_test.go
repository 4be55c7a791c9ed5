package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAnAvroRecordIsPrintedAsJSON(t *testing.T) {
	asked := 0
	registry := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		asked++
		if request.URL.Path != "/apis/ccompat/v7/schemas/ids/7" {
			http.NotFound(answer, request)
			return
		}
		fmt.Fprint(answer, `{"schema": "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"},{\"name\":\"n\",\"type\":[\"null\",\"long\"]}]}"}`)
	}))
	defer registry.Close()
	t.Setenv("KAFKA_CLIENT_REGISTRY", registry.URL+"/apis/ccompat/v7/")
	decoder, err := newDecoder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		text, err := decoder.text(context.Background(), []byte{0, 0, 0, 0, 7, 4, 'a', 'b', 2, 6})
		if err != nil || string(text) != `{"id":"ab","n":3}` {
			t.Fatal(string(text), err)
		}
	}
	if asked != 1 {
		t.Fatal("the registry was asked", asked, "times")
	}
	text, err := decoder.text(context.Background(), []byte(`{"id":"ab"}`))
	if err != nil || string(text) != `{"id":"ab"}` {
		t.Fatal(string(text), err)
	}
	if _, err := decoder.text(context.Background(), []byte{0, 0, 0, 0, 8, 0}); err == nil {
		t.Fatal("nobody knows schema 8")
	}
}
